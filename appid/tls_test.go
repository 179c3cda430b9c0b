package appid_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/appid"
	"github.com/tcpfollow/tcpfollow/packet"
)

func selfSigned(t testing.TB, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// firefox is the hello that FoxIO publish with their description of JA4 (tls12.pcap): extension 34 lists signature
// algorithms, too, which do not count.
func firefox() []byte {
	return helloOf(0x0303,
		[]uint16{
			0x1301, 0x1303, 0x1302, 0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc02c, 0xc030, 0xc00a, 0xc009, 0xc013, 0xc014, 0x009c,
			0x009d, 0x002f, 0x0035,
		},
		sni("Example.COM"), extension{0x17, nil}, extension{0xff01, []byte{0}}, extension{0x0a, words(2, 0x1d, 0x17)},
		extension{0x0b, []byte{1, 0}}, extension{0x23, nil}, alpn("h2", "http/1.1"), extension{5, nil},
		extension{0x22, words(2, 0x0403, 0x0503, 0x0603, 0x0203)}, extension{0x33, nil}, extension{0x2b, words(1, 0x0304, 0x0303)},
		extension{0x0d, words(2, 0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201)},
		extension{0x2d, []byte{1, 1}}, extension{0x1c, nil}, extension{0x15, nil},
	)
}

func TestJA4(t *testing.T) {
	grease := []uint16{0x0a0a, 0x1301, 0xfafa}
	for name, tc := range map[string]struct {
		message   []byte
		transport appid.Transport
		want      string
	}{
		"published":        {firefox(), appid.TCP, "t13d1715h2_5b57614c22b0_3d5424432f57"},
		"over QUIC":        {firefox(), appid.QUIC, "q13d1715h2_5b57614c22b0_3d5424432f57"},
		"bare":             {helloOf(0x0301, []uint16{5}), appid.TCP, "t10i010000_" + hash12("0005") + "_000000000000"},
		"GREASE":           {helloOf(0x0303, grease, extension{0x1a1a, nil}, extension{0x2b, words(1, 0x2a2a, 0x0304)}), appid.TCP, "t13i010100_" + hash12("1301") + "_" + hash12("002b")},
		"no signatures":    {helloOf(0x0303, grease, sni("a"), extension{0x17, nil}, extension{0x0a, words(2)}), appid.TCP, "t12d010300_" + hash12("1301") + "_" + hash12("000a,0017")},
		"name only":        {helloOf(0x0303, grease, sni("a")), appid.TCP, "t12d010100_" + hash12("1301") + "_000000000000"},
		"odd ALPN":         {helloOf(0x0303, grease, alpn("\xab\xcd")), appid.TCP, "t12i0101ad_" + hash12("1301") + "_000000000000"},
		"one letter":       {helloOf(0x0303, grease, alpn("x")), appid.TCP, "t12i0101xx_" + hash12("1301") + "_000000000000"},
		"SSL 3.0":          {helloOf(0x0300, grease), appid.TCP, "ts3i010000_" + hash12("1301") + "_000000000000"},
		"TLS 1.1":          {helloOf(0x0302, grease), appid.TCP, "t11i010000_" + hash12("1301") + "_000000000000"},
		"unknown version":  {helloOf(0x0999, grease), appid.TCP, "t00i010000_" + hash12("1301") + "_000000000000"},
		"a hundred suites": {helloOf(0x0303, slices.Repeat([]uint16{5}, 120)), appid.TCP, "t12i990000_" + hash12(repeated("0005", 120)) + "_000000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := appid.ParseClientHello(tc.message[4:], false)
			require.NoError(t, err)
			require.Equal(t, tc.want, h.JA4(tc.transport))
		})
	}
}

func TestJA4DTLS(t *testing.T) {
	for version, want := range map[uint16]string{0xfeff: "d1", 0xfefd: "d2", 0xfefc: "d3"} {
		h := &appid.ClientHello{Version: version, Ciphers: []uint16{0x1301}}
		require.Equal(t, "d"+want+"i010000_"+hash12("1301")+"_000000000000", h.JA4(appid.DTLS))
	}
	h := &appid.ClientHello{Version: 0xfefd, Versions: []uint16{0x0a0a, 0xfefd, 0xfefc}, Ciphers: []uint16{0x1301}}
	require.Equal(t, "dd3i010000_", h.JA4(appid.DTLS)[:11], "DTLS 1.3 has the smaller number")
}

func TestJA3(t *testing.T) {
	message := helloOf(769, []uint16{47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4},
		sni("a"), extension{10, words(2, 23, 24, 25)}, extension{11, []byte{1, 0}})
	h, err := appid.ParseClientHello(message[4:], false)
	require.NoError(t, err)
	require.Equal(t, "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0", h.JA3Text())
	require.Equal(t, "ada70206e40642a3e4461f35503241d5", h.JA3(), "as Salesforce publish it")
	h, err = appid.ParseClientHello(helloOf(769, []uint16{4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99})[4:], false)
	require.NoError(t, err)
	require.Equal(t, "de350869b8c85de67a350c8d186f11e6", h.JA3(), "without extensions")
	s := &appid.ServerHello{Version: 771, Cipher: 4866, Extensions: []uint16{43, 51}}
	require.Equal(t, "771,4866,43-51", s.JA3SText())
	require.Equal(t, "15af977ce25de452b96affa2addb1036", s.JA3S())
}

func TestServerNames(t *testing.T) {
	for name, tc := range map[string]struct {
		message []byte
		want    string
		bad     bool
	}{
		"plain":              {helloOf(0x0303, []uint16{5}, sni("www.example.com")), "www.example.com", false},
		"capitals":           {helloOf(0x0303, []uint16{5}, sni("WWW.Example.com")), "www.example.com", false},
		"two":                {helloOf(0x0303, []uint16{5}, sni("a.example", "b.example")), "", false},
		"twice":              {helloOf(0x0303, []uint16{5}, sni("a.example"), sni("b.example")), "", false},
		"control characters": {helloOf(0x0303, []uint16{5}, sni("a\x00.example")), "", false},
		"not ASCII":          {helloOf(0x0303, []uint16{5}, sni("ä.example")), "", false},
		"empty":              {helloOf(0x0303, []uint16{5}, extension{0, nil}), "", false},
		"cut":                {helloOf(0x0303, []uint16{5}, extension{0, []byte{0, 9, 0, 0, 6, 'a'}}), "", true},
		"trailing bytes":     {append(helloOf(0x0303, []uint16{5}, sni("a.example")), 0), "", true},
		"no ciphers":         {helloOf(0x0303, nil, sni("a.example")), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := appid.ParseClientHello(tc.message[4:], false)
			if tc.bad {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, h.ServerName)
		})
	}
}

// A hello that ends early says nothing.
func TestTruncatedHello(t *testing.T) {
	body := firefox()[4:]
	for n := range len(body) {
		_, err := appid.ParseClientHello(body[:n], false)
		if n != len(body)-len(extensionsOf(body)) { // there it is one without extensions
			require.Error(t, err, n)
		}
	}
}

// extensionsOf returns the extensions of a hello without session and with one compression method.
func extensionsOf(body []byte) []byte {
	ciphers := 2 + 32 + 1
	return body[ciphers+2+int(body[ciphers])<<8+int(body[ciphers+1])+2:]
}

// However a hello is cut into records and pieces, the same is found.
func TestHelloInPieces(t *testing.T) {
	f := newFinder(t, nil)
	want := f.stream(records(firefox(), 1<<14), nil, 1<<16)
	require.Len(t, want, 1)
	require.Equal(t, "example.com", want[0].ServerName)
	require.Equal(t, []string{"h2", "http/1.1"}, want[0].ALPN)
	for _, size := range []int{1, 2, 3, 5, 16, 100, 1 << 14} {
		for _, piece := range []int{1, 2, 3, 7, 64, 1 << 16} {
			require.Equal(t, want, f.stream(records(firefox(), size), nil, piece), "records of %d, pieces of %d", size, piece)
		}
	}
	whole := records(firefox(), 1<<14)
	for n := range len(whole) {
		require.Empty(t, f.stream(whole[:n], nil, 1<<16), "cut at %d", n)
		f.findings = nil
		st := f.engine.Open(packet.ProtoTCP, client, server)
		f.engine.Feed(st, appid.Input{Data: whole[:n]})
		f.engine.Feed(st, appid.Input{Data: whole[n:], Gap: true})
		require.Len(t, f.findings, map[bool]int{true: 1}[n == 0], "gap at %d", n)
	}
}

func TestRealHandshakes(t *testing.T) {
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			fromClient, fromServer := session(t, version)
			f := newFinder(t, nil)
			found := f.stream(fromClient, fromServer, 1)
			require.GreaterOrEqual(t, len(found), 2)
			require.Equal(t, appid.KindClientHello, found[0].Kind)
			require.Equal(t, "www.server.example", found[0].ServerName)
			require.Equal(t, appid.KindServerHello, found[1].Kind)
			require.Len(t, found[1].JA3S, 32)
			if version == tls.VersionTLS12 {
				require.Len(t, found, 3)
				require.Equal(t, []string{"h2"}, found[1].ALPN)
				require.Equal(t, "server.example", found[2].Subject)
				require.Equal(t, []string{"server.example", "www.server.example"}, found[2].Names)
			} else {
				require.Len(t, found, 2)
			}
			require.Zero(t, f.engine.Stats().Malformed)
		})
	}
}

func TestSTARTTLS(t *testing.T) {
	f := newFinder(t, nil)
	mail := append([]byte("EHLO me\r\nSTARTTLS\r\n"), records(firefox(), 100)...)
	for _, piece := range []int{1, 3, 20, 1 << 16} {
		found := f.stream(mail, nil, piece)
		require.Len(t, found, 2)
		require.Equal(t, appid.KindProtocol, found[0].Kind)
		require.Equal(t, "example.com", found[1].ServerName)
		require.Equal(t, "SMTP", found[1].Flow.Name())
	}
	// In the body of a request it is no hello.
	post := append([]byte("POST / HTTP/1.1\r\nHost: other.example\r\nContent-Length: 999\r\n\r\n"), records(firefox(), 1000)...)
	found := f.stream(post, nil, 1<<16)
	require.Len(t, found, 1)
	require.Equal(t, "other.example", found[0].Host)
}

func TestHelloV2(t *testing.T) {
	body := []byte{1, 3, 1, 0, 6, 0, 0, 0, 16, 0, 0, 4, 7, 0, 0xc0}
	body = append(body, make([]byte, 16)...)
	f := newFinder(t, nil)
	found := f.stream(append([]byte{0x80, byte(len(body))}, body...), nil, 1)
	require.Len(t, found, 1)
	require.Equal(t, "t10i010000_"+hash12("0004")+"_000000000000", found[0].JA4)
	require.Empty(t, found[0].JA3)
}

func TestLimitBytes(t *testing.T) {
	f := newFinder(t, &appid.Config{MaxBytes: 1000})
	require.Empty(t, f.stream(append(make([]byte, 990), records(firefox(), 1000)...), make([]byte, 2000), 100))
	require.EqualValues(t, 2, f.engine.Stats().LimitBytes)
	st := f.engine.Open(packet.ProtoTCP, client, server)
	require.False(t, f.engine.Feed(st, appid.Input{Data: make([]byte, 1000)}))
	require.True(t, f.engine.Feed(st, appid.Input{Direction: packet.ServerToClient, Data: make([]byte, 1000)}))
	in := appid.Input{Data: make([]byte, 100)}
	require.Zero(t, testing.AllocsPerRun(100, func() { f.engine.Feed(st, in) }), "once decided")
	_, err := appid.New(nil, &appid.Config{MaxBytes: -1})
	require.Error(t, err)
}
