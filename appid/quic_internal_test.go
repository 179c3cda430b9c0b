package appid

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

// SealInitial protects the frames of an Initial packet, for tests.
func SealInitial(version uint32, side int, id []byte, number byte, frames []byte) []byte {
	keys, err := initialKeys(version, id)
	if err != nil {
		panic(err)
	}
	k := &keys[side]
	for len(frames) < 100 {
		frames = append(frames, 0)
	}
	first := byte(0xc0)
	if version == quicVersion2 {
		first = 0xd0
	}
	h := []byte{first, byte(version >> 24), byte(version >> 16), byte(version >> 8), byte(version), byte(len(id))}
	h = append(append(h, id...), 0, 0)
	n := 1 + len(frames) + 16
	h = append(h, 0x40|byte(n>>8), byte(n))
	at := len(h)
	h = append(h, number)
	nonce := append([]byte(nil), k.iv...)
	nonce[11] ^= number
	packet := append(h, k.aead.Seal(nil, nonce, frames, h)...)
	var mask [16]byte
	k.header.Encrypt(mask[:], packet[at+4:at+20])
	packet[0] ^= mask[0] & 0x0f
	packet[at] ^= mask[1]
	return packet
}

func expanded(t *testing.T, secret []byte, label string, n int) string {
	t.Helper()
	b, err := expandLabel(secret, label, n)
	require.NoError(t, err)
	return hex.EncodeToString(b)
}

// The server's Initial packet of RFC 9001 §A.3.
func TestServerInitial(t *testing.T) {
	id, err := hex.DecodeString("8394c8f03e515708")
	require.NoError(t, err)
	protected, err := hex.DecodeString("cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a" +
		"5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded7" +
		"4b562bfb19fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee")
	require.NoError(t, err)
	keys, err := initialKeys(1, id)
	require.NoError(t, err)
	require.Equal(t, "fa044b2f42a3fd3b46fb255c", hex.EncodeToString(keys[0].iv))
	require.Equal(t, "0ac1493ca1905853b0bba03e", hex.EncodeToString(keys[1].iv))
	h, ok := parseLong(protected)
	require.True(t, ok)
	frames, err := keys[1].open(&h)
	require.NoError(t, err)
	require.Equal(t, "02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc5430b9a045a120013"+
		"0100002e00330024001d00209d3c940d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00020304", hex.EncodeToString(frames))
	_, err = keys[0].open(&h)
	require.Error(t, err)
	keys, err = initialKeys(quicVersion2, id)
	require.NoError(t, err)
	require.Equal(t, "91f73e2351d8fa91660e909f", hex.EncodeToString(keys[0].iv), "RFC 9369 §A.1")
	_, err = initialKeys(0x51303435, id)
	require.Error(t, err)
}

func TestExpandLabel(t *testing.T) {
	secret, err := hex.DecodeString("c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea") // RFC 9001 §A.1
	require.NoError(t, err)
	require.Equal(t, "1f369613dd76d5467730efcbe3b1a22d", expanded(t, secret, "quic key", 16))
	require.Equal(t, "9f50449e04a0e810283a1e9933adedd2", expanded(t, secret, "quic hp", 16))
}
