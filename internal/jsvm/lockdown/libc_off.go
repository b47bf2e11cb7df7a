//go:build !cgo

package lockdown

// libc says that threads are made by libc, which has its own ideas of what a process may do meanwhile.
const libc = false
