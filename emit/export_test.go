package emit

// Held says whether the writer has taken everything that was queued.
func (e *Emitter) Held() bool { return e.queue.empty() }
