package nats

var (
	Token   = token
	Pattern = pattern
)
