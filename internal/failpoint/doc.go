// Package failpoint lets a test stop a worker at exactly the places where a crash would hurt.
//
// How it works. A [Points] is connected to an address of the test's; the worker announces each named place that
// it passes, with the job it passes it for, and goes on only when it is answered. Whoever listens may answer at
// once, later, or kill or stop the process instead: there is no code here that ends a process. A nil *Points,
// which is what every worker has that was not told otherwise, announces nothing and costs a comparison.
//
// An announcement is one connection: the worker writes a line of JSON ([Announcement]) and reads one byte.
//
// What may go wrong: nobody listens any more. Then the worker goes on at every point, and says so once.
//
// This package must not decide anything, must not be connected unless the environment of the process says so,
// and must not be used where an error could be returned instead.
package failpoint
