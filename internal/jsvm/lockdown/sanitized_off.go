//go:build !race && !msan && !asan

package lockdown

// sanitized says that a sanitizer is compiled in: its shadow memory takes terabytes of address space.
const sanitized = false
