package lockdown

// Layer is one measure, named as /readyz and logs show it.
type Layer string

// The layers, in the order in which they are applied: each of the first needs what a later one takes away.
const (
	Rlimits    Layer = "rlimits"      // bounds of address space and descriptors; no file may grow, no core is dumped
	OOMScore   Layer = "oom-score"    // short of memory, the kernel ends this process first
	User       Layer = "user"         // was it root: a user and a group that nobody else has; no capabilities in any case
	Dumpable   Layer = "no-dump"      // its equals can neither trace it nor read its memory
	NoNewPrivs Layer = "no-new-privs" // executing a set-user-id file gives nothing
	Landlock   Layer = "landlock"     // no path, no TCP; with newer kernels no abstract sockets and signals to others either
	Seccomp    Layer = "seccomp"      // only the system calls of Go's runtime, reading and writing; any other is the end
)

// Layers are all of them, in order of application.
func Layers() []Layer {
	return []Layer{Rlimits, OOMScore, User, Dumpable, NoNewPrivs, Landlock, Seccomp}
}

// Config says what Apply does. Its zero value is as strict as can be.
type Config struct {
	// AddressSpace bounds the bytes of address space (RLIMIT_AS). 0: 4 GiB. Address space is not memory: Go's
	// runtime reserves more than 1 GiB before it does anything, and does not start a thread without.
	AddressSpace uint64
	// Skip are layers to leave out: for tests that ask what the others are worth. nil: none.
	Skip []Layer
}

// withDefaults fills in what the zero value stands for.
func (c Config) withDefaults() Config {
	if c.AddressSpace == 0 {
		c.AddressSpace = 4 << 30
	}
	return c
}

// Missing is a layer that is not, or not wholly, in force.
type Missing struct {
	Layer Layer
	Why   string
}

// Report says what became of each layer; every one of Layers is in exactly one of the two lists.
type Report struct {
	Applied []Layer
	Missing []Missing
}
