package domain

// handle is a pointer to what libvirt gave, which has to be freed.
type handle[T any] interface {
	*T
	Free() error
}

// freeAll frees the handles of a list. A handle that cannot be freed has no connection
// left, and nothing to free.
func freeAll[T any, P handle[T]](handles []T) {
	for i := range handles {
		_ = P(&handles[i]).Free()
	}
}
