package tlsx

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// Defaults and bounds of a [KeyLog].
const (
	// DefaultMaxSecrets is the most secrets that a key log keeps, at about 150 bytes each.
	DefaultMaxSecrets = 1 << 20
	// maxLine is the most bytes of a line: three times what the longest known one has.
	maxLine = 1 << 10
)

// label is a kind of secret that records are decrypted with.
type label uint8

const (
	masterSecret label = iota
	clientEarly
	clientHandshake
	serverHandshake
	clientTraffic
	serverTraffic
)

// Random is the random of a ClientHello, by which a key log names connections.
type Random [32]byte

// secretName is what a secret is found by.
type secretName struct {
	random Random
	label  label
}

// secret holds a secret of up to 48 bytes.
type secret struct {
	b [48]byte
	n uint8
}

func (s *secret) bytes() []byte { return s.b[:s.n] }

// KeyLog holds the secrets of TLS connections as programs write them to the file that SSLKEYLOGFILE names: lines of a
// label, the client's random and a secret, the latter two in hexadecimal (draft-ietf-tls-keylogfile).
//
// A connection is found by its own random alone: a resumed session of TLS 1.2 needs a line too, which crypto/tls does not
// write.
//
// The zero KeyLog is empty and ready to use. It is an [io.Writer] of whole or partial lines, so that it can be a
// KeyLogWriter of crypto/tls. Lines may be added while connections are decrypted; it is not safe for concurrent use.
type KeyLog struct {
	// MaxSecrets is the most secrets that are kept, 0 for [DefaultMaxSecrets]. Further ones are counted as Dropped.
	MaxSecrets int

	secrets map[secretName]secret
	line    []byte // the start of a line whose end is still to come
	long    bool   // the line is too long
	stats   KeyLogStats
}

// KeyLogStats counts the lines of a key log; each is in exactly one of the other fields.
type KeyLogStats struct {
	// Lines is the number of lines.
	Lines uint64
	// Secrets is the number of lines with a new secret of a known label.
	Secrets uint64
	// Repeated is the number of lines whose secret was known before.
	Repeated uint64
	// Replaced is the number of lines whose secret took the place of another one for the same connection.
	Replaced uint64
	// Unused is the number of lines with a label that is not needed for decrypting records, or not known.
	Unused uint64
	// Blank is the number of empty lines and comments.
	Blank uint64
	// Bad is the number of lines that are none of these: of another form, or longer than 1024 bytes.
	Bad uint64
	// Dropped is the number of lines beyond MaxSecrets.
	Dropped uint64
}

// ReadKeyLog reads a key log to its end. An error of r is returned with what was read before it.
func ReadKeyLog(r io.Reader) (*KeyLog, error) {
	k := new(KeyLog)
	_, err := k.ReadFrom(r)
	return k, err
}

// ReadFrom adds the lines of r to its end; the last one needs no newline.
func (k *KeyLog) ReadFrom(r io.Reader) (int64, error) {
	in := bufio.NewReaderSize(r, 1<<15)
	var n int64
	for {
		b, err := in.ReadSlice('\n')
		n += int64(len(b))
		_, _ = k.Write(b) // does not fail
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			k.Flush()
			if errors.Is(err, io.EOF) {
				return n, nil
			}
			return n, fmt.Errorf("key log: %w", err)
		}
	}
}

// Write adds lines. A line that does not end in b is completed by the next call, or by Flush. It never fails.
func (k *KeyLog) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte{'\n'})
		b = rest
		if !whole || len(k.line) > 0 || k.long {
			if k.long = k.long || len(k.line)+len(line) > maxLine; k.long {
				k.line = k.line[:0]
			} else {
				k.line = append(k.line, line...)
			}
			if whole {
				k.Flush()
			}
			continue
		}
		k.add(line)
	}
	return n, nil
}

// Flush takes what was written after the last newline as a line.
func (k *KeyLog) Flush() {
	if k.long {
		k.stats.Lines++
		k.stats.Bad++
	} else if len(k.line) > 0 {
		k.add(k.line)
	}
	k.line, k.long = k.line[:0], false
}

// add takes a line.
func (k *KeyLog) add(line []byte) {
	k.stats.Lines++
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] == '#' {
		k.stats.Blank++
		return
	}
	fields := bytes.Fields(line)
	if len(line) > maxLine || len(fields) != 3 {
		k.stats.Bad++
		return
	}
	if bad := !isHex(fields[1]) || !isHex(fields[2]); bad {
		k.stats.Bad++
		return
	}
	name := secretName{}
	known := true
	switch string(fields[0]) {
	case "CLIENT_RANDOM":
		name.label = masterSecret
	case "CLIENT_EARLY_TRAFFIC_SECRET":
		name.label = clientEarly
	case "CLIENT_HANDSHAKE_TRAFFIC_SECRET":
		name.label = clientHandshake
	case "SERVER_HANDSHAKE_TRAFFIC_SECRET":
		name.label = serverHandshake
	case "CLIENT_TRAFFIC_SECRET_0":
		name.label = clientTraffic
	case "SERVER_TRAFFIC_SECRET_0":
		name.label = serverTraffic
	default:
		known = false
	}
	if !known {
		k.stats.Unused++
		return
	}
	n := len(fields[2]) / 2
	if len(fields[1]) != 2*len(name.random) || n != 48 && (n != 32 || name.label == masterSecret) {
		k.stats.Bad++ // a master secret has 48 bytes, a traffic secret those of SHA-256 or SHA-384
		return
	}
	s := secret{n: uint8(n)}
	_, _ = hex.Decode(name.random[:], fields[1]) // both are hexadecimal
	_, _ = hex.Decode(s.b[:], fields[2])
	k.store(name, s)
}

// isHex reports whether b is an even number of hexadecimal digits, and not none.
func isHex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return len(b) > 0 && len(b)%2 == 0
}

func (k *KeyLog) store(name secretName, s secret) {
	if k.secrets == nil {
		k.secrets = map[secretName]secret{}
	}
	limit := k.MaxSecrets
	if limit <= 0 {
		limit = DefaultMaxSecrets
	}
	switch old, known := k.secrets[name]; {
	case known && old == s:
		k.stats.Repeated++
		return
	case known:
		k.stats.Replaced++
	case len(k.secrets) >= limit:
		k.stats.Dropped++
		return
	default:
		k.stats.Secrets++
	}
	k.secrets[name] = s
}

// Stats returns what was counted so far.
func (k *KeyLog) Stats() KeyLogStats { return k.stats }

// Len returns the number of secrets.
func (k *KeyLog) Len() int { return len(k.secrets) }

// find returns a secret, nil when there is none.
func (k *KeyLog) find(random Random, l label) []byte {
	if k == nil {
		return nil
	}
	s, ok := k.secrets[secretName{random, l}]
	if !ok {
		return nil
	}
	return s.bytes()
}

// version changes whenever a secret was added.
func (k *KeyLog) version() uint64 {
	if k == nil {
		return 0
	}
	return k.stats.Secrets + k.stats.Replaced
}
