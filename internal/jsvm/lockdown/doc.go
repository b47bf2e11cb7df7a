// Package lockdown is what a sandbox process does to itself before it runs JavaScript that a model wrote: it gives up
// everything that a function from (snapshot, cell, deliveries) to a step does not need.
//
// Apply puts one Layer after the other over the process. Each is a measure of its own, most deeds are refused by
// more than one, and a host that lacks a layer still has the others; the Report says which are in force. Whatever
// the layers, the environment is emptied and every descriptor but 0, 1 and 2 is closed.
//
// Linux keeps credentials, filters and domains per thread, and a Go process has several before main begins. So each
// layer is put on all of them at once; threads that come later inherit it.
//
// What may go wrong: a system call that the filter does not allow ends the process with SIGSYS, and there is no way
// to ask beforehand. What needs a file, also implicitly (a time zone, a host name), is to be read before Apply. A
// pipe is all that descriptors 0, 1 and 2 may be: one byte to a regular file exceeds the limit of file sizes, and Go
// ends with SIGXFSZ. Emptying the environment does not wipe the kernel's copy of it at the top of the stack: who
// starts the process must give it no secret in the first place.
//
// This package must not know what the process is for, start processes itself, or loosen a layer because another
// one holds.
package lockdown
