package tlsx

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// The keys of RFC 8448 §3.
func TestTrafficKey(t *testing.T) {
	aes128 := suites13()[0]
	for _, c := range []struct{ secret, key, iv string }{
		{"b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38", "3fce516009c21727d0f2e4e86ee403bc", "5d313eb2671276ee13000b30"},
		{"b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21", "dbfaa693d1762c5b666af5d950258d01", "5bd3c71b836e0b76bb73265f"},
	} {
		secret := unhex(t, c.secret)
		require.Equal(t, c.key, hex.EncodeToString(expandLabel(aes128, secret, "key", 16)))
		k := trafficKey(aes128, secret)
		require.Equal(t, c.iv, hex.EncodeToString(k.iv[:]))
	}
	require.Nil(t, trafficKey(suites13()[1], make([]byte, 32)), "a secret of SHA-256 for a suite with SHA-384")
}

// The usual test vector of P_SHA256: https://mailarchive.ietf.org/arch/msg/tls/fzVCzk-z3FShgGJ6DOXqM1ydxms.
func TestPRF(t *testing.T) {
	want := "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab" +
		"4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff70187347b66"
	seed := append([]byte("test label"), unhex(t, "a0ba9f936cda311827a6f796ffd5198c")...)
	require.Equal(t, want, hex.EncodeToString(prf(sha256.New, unhex(t, "9bbe436ba940f017b17652849a71db35"), seed, 100)))
}

// Every suite that is decrypted, by the strength that its name says.
func TestFindSuite(t *testing.T) {
	strong := map[uint16]bool{}
	for id := uint16(0x9c); id <= 0xad; id++ {
		strong[id] = id%2 == 1
	}
	for id := uint16(0xc02b); id <= 0xc032; id++ {
		strong[id] = id%2 == 0
	}
	strong[0xd001], strong[0xd002], strong[0x1301], strong[0x1302] = false, true, false, true
	found := 0
	for id := range 1 << 16 {
		s, ok := findSuite(uint16(id))
		if !ok {
			continue
		}
		found++
		want, isGCM := strong[uint16(id)]
		require.Equal(t, isGCM, s.aead == gcm, "%#x", id)
		if isGCM {
			require.Equal(t, want, s.sha384, "%#x", id)
			require.Equal(t, map[bool]int{false: 16, true: 32}[want], s.keyLen)
		} else {
			require.False(t, s.sha384)
			require.Equal(t, 32, s.keyLen)
		}
		require.Equal(t, id>>8 == 0x13, s.tls13)
	}
	require.Equal(t, len(strong)+1+7, found)
}
