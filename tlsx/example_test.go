package tlsx_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"strings"

	"github.com/tcpfollow/tcpfollow/internal/tlsrec"
	"github.com/tcpfollow/tcpfollow/tlsx"
)

// printer prints what was decrypted.
type printer struct{}

func (printer) Data(d tlsx.Direction, c tlsx.Chunk) {
	fmt.Printf("%s at %d: %q\n", [...]string{"client", "server"}[d], c.Offset, c.Bytes)
}

func (printer) Gap(d tlsx.Direction, g tlsx.Gap) {
	fmt.Printf("%s at %d: %d bytes missing: %v\n", [...]string{"client", "server"}[d], g.Offset, g.Length, g.Reason)
}

func (printer) End(d tlsx.Direction, e tlsx.End) {
	fmt.Printf("%s is over, announced: %v\n", [...]string{"client", "server"}[d], e.Closed)
}

// A connection is decrypted from what crossed the wire and a key log.
func Example() {
	wire := recordExample()
	keys, err := tlsx.ReadKeyLog(strings.NewReader(string(wire.KeyLog)))
	if err != nil {
		fmt.Println(err)
		return
	}
	decrypter, err := tlsx.New(keys, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	conn := decrypter.Open(printer{})
	var offset [2]uint64
	for i, part := range wire.Parts {
		d := tlsx.Direction(part.Dir)
		conn.Data(d, offset[d], part.Data, tlsx.Origin{Packet: uint64(i + 1)})
		offset[d] += uint64(len(part.Data))
	}
	conn.Close()
	info := conn.Info()
	fmt.Println(info.ServerName, tlsx.SuiteName(info.Suite), info.Protocol)
	// Output:
	// client at 0: "Who is there?"
	// server at 0: "Me."
	// client is over, announced: true
	// server is over, announced: true
	// example.com TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 talk
}

// recordExample lets crypto/tls say something.
func recordExample() *tlsrec.Session {
	cert, err := tlsrec.Certificate(tlsrec.Ed25519())
	if err != nil {
		panic(err)
	}
	suites := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
	client := &tls.Config{ServerName: "example.com", InsecureSkipVerify: true, NextProtos: []string{"talk"}, MaxVersion: tls.VersionTLS12, CipherSuites: suites}
	server := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"talk"}}
	answer := make([]byte, len("Me."))
	wire, err := tlsrec.Record(client, server, func(c *tls.Conn) error {
		_, err := io.WriteString(c, "Who is there?")
		if err == nil {
			_, err = io.ReadFull(c, answer)
		}
		return err
	}, func(c *tls.Conn) error {
		_, err := io.ReadFull(c, make([]byte, len("Who is there?")))
		if err == nil {
			_, err = io.WriteString(c, "Me.")
		}
		return err
	})
	if err != nil {
		panic(err)
	}
	return wire
}
