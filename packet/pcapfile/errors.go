package pcapfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// What ends an input early; found in an [*Error] with errors.Is.
var (
	// ErrTruncated means that the input ends inside a record, a header or a compressed stream.
	ErrTruncated = errors.New("cut off")
	// ErrCorrupt means that the input contradicts itself or its format.
	ErrCorrupt = errors.New("corrupt")
	// ErrNotCapture means that the input is no capture file, or one of an unknown version.
	ErrNotCapture = errors.New("not a capture file")
	// ErrTooLarge means that a limit of [Config] was reached.
	ErrTooLarge = errors.New("too large")
)

// Error says where and why reading a file ended early. All frames before it were returned.
type Error struct {
	// File is the name of the file, as it was given.
	File string
	// Offset is where the failing record, block or header starts, in bytes of the decompressed stream.
	Offset int64
	// Frame is the number within File, from 1, of the frame that failed; where something else than a frame failed,
	// the number that the next frame would have had. It is 0 for the file's header, and for a file that cannot be opened.
	Frame uint64
	// Err is the reason. It matches one of the Err values of this package or is the error of the read itself.
	Err error
}

// Error returns one line: file, place and reason.
func (e *Error) Error() string {
	if e.Frame == 0 {
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s: frame %d at byte %d: %v", e.File, e.Frame, e.Offset, e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// fault is a reason in plain words that still matches its kind and its cause.
type fault struct {
	kind  error
	cause error
	text  string
}

func (f *fault) Error() string { return f.text }

func (f *fault) Unwrap() []error {
	if f.cause == nil {
		return []error{f.kind}
	}
	return []error{f.kind, f.cause}
}

func faultf(kind error, format string, args ...any) error {
	return &fault{kind: kind, text: fmt.Sprintf(format, args...)}
}

// faultBy is faultf with a cause, whose text follows.
func faultBy(kind, cause error, text string) error {
	return &fault{kind: kind, cause: cause, text: text + ": " + cause.Error()}
}

// notCapture describes what a file starts with.
func notCapture(head []byte, compression string) error {
	where := ""
	if compression != "" {
		where = strings.ReplaceAll(compression, "+", " in ") + ", "
	}
	if len(head) == 0 {
		return faultf(ErrNotCapture, "not a capture file (%sempty)", where)
	}
	return faultf(ErrNotCapture, "not a capture file (%sfirst bytes % x)", where, head[:min(4, len(head))])
}

// osError strips operation and path off an error of package os: [Error] names the file.
func osError(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	var se *os.SyscallError
	if errors.As(err, &se) {
		return se.Err
	}
	return err
}
