package appid_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/appid"
	"github.com/tcpfollow/tcpfollow/packet"
)

// However a stream is cut into pieces, the same is found in it.
func FuzzStream(f *testing.F) {
	f.Add(records(firefox(), 100), records(helloOf(0x0303, []uint16{5}), 9), uint16(53), byte(3))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), []byte("HTTP/1.1 200 OK\r\nContent-Type: b\r\n\r\n"), uint16(80), byte(1))
	f.Add(append([]byte("SSH-2.0-a\r\n"), keyInit("a", "b", "c", "d", "e", "f", "g", "h", "", "")...), []byte("hi\r\nSSH-2.0-b\r\n"), uint16(22), byte(4))
	f.Add(append([]byte("STARTTLS\r\n"), records(firefox(), 100)...), []byte("220 go\r\n"), uint16(25), byte(2))
	f.Add(append([]byte{0, byte(len(message(f)))}, message(f)...), []byte{0x80, 31, 1, 3, 1}, uint16(53), byte(2))
	for _, tc := range streams {
		f.Add([]byte(tc.client), []byte(tc.server), tc.port, byte(4))
	}
	f.Fuzz(func(t *testing.T, fromClient, fromServer []byte, port uint16, piece byte) {
		var want []appid.Finding
		for i, size := range []int{1 << 20, int(piece) + 1, 1} {
			x := newFinder(t, &appid.Config{MaxBytes: 4096})
			st := x.engine.Open(packet.ProtoTCP, client, addrPort(server.Addr(), port))
			for dir, b := range [2][]byte{fromClient, fromServer} {
				for len(b) > 0 {
					n := min(size, len(b))
					part := append([]byte(nil), b[:n]...)
					x.engine.Feed(st, appid.Input{Direction: packet.Direction(dir), Data: part})
					clear(part) // it was borrowed
					b = b[n:]
				}
			}
			if i == 0 {
				want = x.findings
			}
			require.Equal(t, want, x.findings, "pieces of %d", size)
			require.LessOrEqual(t, x.engine.Stats().LimitBytes, uint64(2))
		}
	})
}

// Datagrams of any kind are looked at without harm, and the same ones give the same findings.
func FuzzDatagram(f *testing.F) {
	id := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	f.Add(appid.SealInitial(1, 0, id, 0, crypto(0, firefox())), appid.SealInitial(1, 1, id, 0, []byte{2, 0, 0, 0, 0}), uint16(443))
	f.Add(dtls(helloOf(0xfefd, []uint16{5}), 0, 20)[0], dtls(helloOf(0xfefd, []uint16{5}), 0, 20)[1], uint16(4433))
	f.Add(message(f), message(f)[:40], uint16(53))
	f.Add(append([]byte("\x0d12345678Q043\x01"), chlo("SNI\x00", "a.example")...), []byte{}, uint16(443))
	for _, tc := range packets {
		f.Add([]byte(tc.data), []byte{}, tc.port)
	}
	f.Fuzz(func(t *testing.T, a, b []byte, port uint16) {
		x := newFinder(t, nil)
		list := []datagram{{packet.ClientToServer, a}, {packet.ClientToServer, b}, {packet.ServerToClient, a}, {packet.ServerToClient, b}}
		found := x.datagrams(port, list...)
		require.Equal(t, found, x.datagrams(port, list...))
	})
}

// The frames of an Initial packet are the attacker's, too.
func FuzzInitial(f *testing.F) {
	f.Add(crypto(0, firefox()), crypto(100, firefox()), uint8(0))
	q050 := crypto(0, chlo("SNI\x00", "a.example"))
	q050[0] = 8
	f.Add(q050, q050, uint8(2))
	f.Add([]byte{2, 1, 2, 1, 3, 0, 0, 6, 0, 4, 1, 0, 0, 0}, []byte{3, 0, 0, 0, 0, 1, 2, 3}, uint8(1))
	f.Fuzz(func(t *testing.T, a, b []byte, v uint8) {
		if len(a) > 4000 || len(b) > 4000 {
			return
		}
		version := []uint32{1, 0x6b3343cf, 0x51303530}[v%3]
		id := []byte{1, 2, 3, 4, 5, 6, 7, 8}
		x := newFinder(t, nil)
		for _, found := range x.datagrams(443,
			datagram{packet.ClientToServer, appid.SealInitial(version, 0, id, 0, a)},
			datagram{packet.ServerToClient, appid.SealInitial(version, 1, id, 0, b)}) {
			require.Equal(t, "quic", found.Proto)
		}
	})
}
