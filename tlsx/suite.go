package tlsx

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"strconv"

	"golang.org/x/crypto/chacha20poly1305"
)

// aeadKind is an authenticated cipher.
type aeadKind uint8

const (
	gcm aeadKind = iota
	chacha
)

// suite is what decrypting needs to know of a cipher suite.
type suite struct {
	keyLen int
	aead   aeadKind
	sha384 bool // else SHA-256
	tls13  bool
}

// suites13 are the suites of TLS 1.3, from which one is found by trial when the server's choice was not captured.
func suites13() []suite {
	return []suite{
		{keyLen: 16, aead: gcm, tls13: true},
		{keyLen: 32, aead: gcm, sha384: true, tls13: true},
		{keyLen: 32, aead: chacha, tls13: true},
	}
}

// findSuite returns the suite of a number, if it can be decrypted (RFC 5288, RFC 5289, RFC 5487, RFC 7905, RFC 8442,
// RFC 8446).
func findSuite(id uint16) (suite, bool) {
	switch {
	case id >= 0x1301 && id <= 0x1303:
		return suites13()[id-0x1301], true
	case id >= 0x009c && id <= 0x00ad, id == 0xd001, id == 0xd002: // AES-128 and AES-256 in turns
		return gcm12(id%2 == 1 != (id >= 0xd001)), true
	case id >= 0xc02b && id <= 0xc032:
		return gcm12(id%2 == 0), true
	case id >= 0xcca8 && id <= 0xccae:
		return suite{keyLen: 32, aead: chacha}, true
	}
	return suite{}, false
}

func gcm12(strong bool) suite {
	if strong {
		return suite{keyLen: 32, aead: gcm, sha384: true}
	}
	return suite{keyLen: 16, aead: gcm}
}

// newHash returns the hash of the suite's key derivation.
func (s suite) newHash() func() hash.Hash {
	if s.sha384 {
		return sha512.New384
	}
	return sha256.New
}

// secretLen is the length of a TLS 1.3 traffic secret.
func (s suite) secretLen() int {
	if s.sha384 {
		return sha512.Size384
	}
	return sha256.Size
}

// ivLen is the length of the part of the nonce that is derived.
func (s suite) ivLen() int {
	if s.explicit() > 0 {
		return 4
	}
	return nonceLen
}

const (
	nonceLen = 12
	tagLen   = 16
)

// explicit is the length of the part of the nonce that records carry: that of AES-GCM in TLS 1.2 (RFC 5288 §3).
func (s suite) explicit() int {
	if s.aead == gcm && !s.tls13 {
		return 8
	}
	return 0
}

// overhead is how many bytes a protected record has at least beyond its content.
func (s suite) overhead() int {
	if s.tls13 {
		return tagLen + 1
	}
	return tagLen + s.explicit()
}

// key opens the records of one direction, from one change of keys to the next.
type key struct {
	suite  suite
	aead   cipher.AEAD
	iv     [nonceLen]byte
	secret []byte // TLS 1.3: what the next key comes from
	after  *key   // that, once it was needed
}

func newKey(s suite, k, iv, from []byte) *key {
	out := &key{suite: s, secret: from}
	var err error
	if s.aead == chacha {
		out.aead, err = chacha20poly1305.New(k)
	} else {
		var block cipher.Block
		if block, err = aes.NewCipher(k); err == nil {
			out.aead, err = cipher.NewGCM(block)
		}
	}
	if err != nil {
		return nil // the length of a key is right
	}
	copy(out.iv[:], iv)
	return out
}

// trafficKey returns the key of a TLS 1.3 traffic secret (RFC 8446 §7.3), nil for a secret of another length.
func trafficKey(s suite, from []byte) *key {
	if len(from) != s.secretLen() {
		return nil
	}
	return newKey(s, expandLabel(s, from, "key", s.keyLen), expandLabel(s, from, "iv", nonceLen), from)
}

// next returns the key behind a KeyUpdate (RFC 8446 §7.2).
func (k *key) next() *key {
	if k.after == nil {
		k.after = trafficKey(k.suite, expandLabel(k.suite, k.secret, "traffic upd", len(k.secret)))
	}
	return k.after
}

// expandLabel is HKDF-Expand-Label with an empty context (RFC 8446 §7.1).
func expandLabel(s suite, from []byte, name string, n int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(len("tls13 ")+len(name)))
	info = append(append(info, "tls13 "...), name...)
	out, err := hkdf.Expand(s.newHash(), from, string(append(info, 0)), n)
	if err != nil {
		return nil // n is small
	}
	return out
}

// sessionKey returns the key of one side in TLS 1.2 (RFC 5246 §6.3).
func sessionKey(s suite, master []byte, client, server Random, fromServer bool) *key {
	seed := append(append([]byte("key expansion"), server[:]...), client[:]...)
	ivLen := s.ivLen()
	block := prf(s.newHash(), master, seed, 2*(s.keyLen+ivLen))
	keys, ivs := block[:2*s.keyLen], block[2*s.keyLen:]
	if fromServer {
		return newKey(s, keys[s.keyLen:], ivs[ivLen:], nil)
	}
	return newKey(s, keys[:s.keyLen], ivs[:ivLen], nil)
}

// prf is P_hash over a seed that starts with its label (RFC 5246 §5).
func prf(newHash func() hash.Hash, key, seed []byte, n int) []byte {
	sum := func(parts ...[]byte) []byte {
		h := hmac.New(newHash, key)
		for _, p := range parts {
			_, _ = h.Write(p) // does not fail
		}
		return h.Sum(nil)
	}
	var out []byte
	for a := sum(seed); len(out) < n; a = sum(a) {
		out = append(out, sum(a, seed)...)
	}
	return out[:n]
}

// SuiteName returns the name of a cipher suite that can be decrypted, and of some that cannot, and else its number in
// hexadecimal.
func SuiteName(id uint16) string {
	names := map[uint16]string{
		0x1301: "TLS_AES_128_GCM_SHA256", 0x1302: "TLS_AES_256_GCM_SHA384", 0x1303: "TLS_CHACHA20_POLY1305_SHA256",
		0x1304: "TLS_AES_128_CCM_SHA256", 0x1305: "TLS_AES_128_CCM_8_SHA256",
		0x0005: "TLS_RSA_WITH_RC4_128_SHA", 0x000a: "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
		0x002f: "TLS_RSA_WITH_AES_128_CBC_SHA", 0x0035: "TLS_RSA_WITH_AES_256_CBC_SHA",
		0x0033: "TLS_DHE_RSA_WITH_AES_128_CBC_SHA", 0x0039: "TLS_DHE_RSA_WITH_AES_256_CBC_SHA",
		0x003c: "TLS_RSA_WITH_AES_128_CBC_SHA256", 0x003d: "TLS_RSA_WITH_AES_256_CBC_SHA256",
		0x009c: "TLS_RSA_WITH_AES_128_GCM_SHA256", 0x009d: "TLS_RSA_WITH_AES_256_GCM_SHA384",
		0x009e: "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", 0x009f: "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
		0xc007: "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", 0xc009: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
		0xc00a: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", 0xc011: "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
		0xc012: "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", 0xc013: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
		0xc014: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", 0xc023: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
		0xc024: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", 0xc027: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
		0xc028: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", 0xc02b: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
		0xc02c: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 0xc02f: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
		0xc030: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", 0xcca8: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
		0xcca9: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 0xccaa: "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
	}
	if name, ok := names[id]; ok {
		return name
	}
	return "0x" + strconv.FormatUint(0x10000|uint64(id), 16)[1:]
}
