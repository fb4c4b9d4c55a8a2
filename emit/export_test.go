package emit

// Held says whether the writer has taken everything that was queued.
func (e *Emitter) Held() bool { return e.queue.empty() }

// Sizes returns how large a field may be by its size, and how large it is.
func (f Field) Sizes() (most, is int) {
	b, _ := f.append(nil)
	return f.size(), len(b)
}
