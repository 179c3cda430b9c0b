package appid

import (
	"bytes"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

const (
	maxBanner     = 255 // of SSH, with CR and LF (RFC 4253 §4.2)
	maxPreamble   = 4 << 10
	maxSSHPacket  = 35000 // RFC 4253 §6.1
	msgKeyInit    = 20
	nameLists     = 10
	sshHeaderSize = 5
)

// sshReader reads the identification and the first KEXINIT of one side of SSH (RFC 4253 §4.2, §7.1).
type sshReader struct {
	buf    []byte
	banner string
	done   bool
}

// feed takes the next bytes. It returns what it found: the banner, then the fields that HASSH hashes, of the client and
// of the server: only the one of the side that sends them is its fingerprint.
func (r *sshReader) feed(b []byte, limit int) (banner string, lists [][]byte) {
	if r.done {
		return "", nil
	}
	r.buf = append(r.buf, b...)
	if r.banner == "" {
		if banner = r.identification(); banner == "" {
			return "", nil
		}
		r.banner = banner
	}
	if len(r.buf) < sshHeaderSize+1 {
		return banner, nil
	}
	s := cryptobyte.String(r.buf)
	var size uint32
	var padding, kind uint8
	s.ReadUint32(&size)
	s.ReadUint8(&padding)
	s.ReadUint8(&kind)
	if size > uint32(min(maxSSHPacket, limit)) || size < uint32(padding)+2 || kind != msgKeyInit {
		r.done = true
		return banner, nil
	}
	if len(r.buf) < 4+int(size) {
		return banner, nil
	}
	r.done = true
	s = r.buf[sshHeaderSize+1 : 4+int(size)-int(padding)]
	return banner, keyInit(s)
}

// identification returns the line that starts with SSH-, without its end, and lets go of it and of what is before it.
func (r *sshReader) identification() string {
	for {
		i := bytes.IndexByte(r.buf, '\n')
		if i < 0 {
			r.done = len(r.buf) > maxPreamble
			return ""
		}
		line := bytes.TrimSuffix(r.buf[:i], []byte{'\r'})
		r.buf = r.buf[i+1:]
		if bytes.HasPrefix(line, []byte("SSH-")) {
			if len(line) > maxBanner {
				r.done = true
				return ""
			}
			return string(line)
		}
	}
}

// keyInit returns the name-lists of a KEXINIT, nil if it is malformed.
func keyInit(s cryptobyte.String) [][]byte {
	if !s.Skip(16) { // cookie
		return nil
	}
	lists := make([][]byte, nameLists)
	for i := range lists {
		var n uint32
		if !s.ReadUint32(&n) || n > uint32(len(s)) || !s.ReadBytes(&lists[i], int(n)) {
			return nil
		}
	}
	return lists
}

// The name-lists of a KEXINIT (RFC 4253 §7.1): after key exchange and host key, each for client and then for server.
const (
	listKex         = 0
	listEncryption  = 2
	listMAC         = 4
	listCompression = 6
)

// hassh returns Salesforce's HASSH of a client's KEXINIT, HASSHServer of a server's.
func hassh(lists [][]byte, side int) string {
	return md5Hex(strings.Join([]string{
		string(lists[listKex]), string(lists[listEncryption+side]), string(lists[listMAC+side]), string(lists[listCompression+side]),
	}, ";"))
}
