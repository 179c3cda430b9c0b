// Package sandbox gives up what a program needs no more once its input is open: on Linux capabilities, the way to new
// ones, other users' rights, the file system, and TCP.
package sandbox

// Config says what is kept. The zero Config keeps nothing.
type Config struct {
	// Directories are those in which files may still be made, written and removed, but not read. They must exist.
	Directories []string
	// User, unless "", is the name or number of the user to become, with that user's group. It takes root.
	User string
}

// Report says what came of it.
type Report struct {
	// Landlock is the version of the kernel's Landlock interface, 0 where there is none: the file system is open then.
	Landlock int
}
