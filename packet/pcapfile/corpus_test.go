package pcapfile_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/pcapgo"
	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// captures returns the directory of third-party captures, which are no part of this repository.
func captures(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("TCPFOLLOW_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	dir = filepath.Join(dir, "pcaps")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no third-party captures: neither ../shared beside the project nor $TCPFOLLOW_SHARED is there")
	}
	return dir
}

type reference interface {
	next() (packet.Frame, error)
}

type refPcap struct{ *pcapgo.Reader }

func (r refPcap) next() (packet.Frame, error) {
	data, ci, err := r.ReadPacketData()
	return packet.Frame{
		Data: data, Time: ci.Timestamp.UnixNano(), Length: ci.Length,
		Link: packet.LinkType(uint32(r.LinkType())),
	}, err
}

type refNG struct{ *pcapgo.NgReader }

func (r refNG) next() (packet.Frame, error) {
	data, ci, err := r.ReadPacketData()
	if err != nil {
		return packet.Frame{}, err
	}
	ifc, err := r.Interface(ci.InterfaceIndex)
	f := packet.Frame{Data: data, Length: ci.Length, Link: packet.LinkType(uint32(ifc.LinkType))}
	if !ci.Timestamp.IsZero() { // simple packet blocks have no time
		f.Time = ci.Timestamp.UnixNano()
	}
	return f, err
}

// independent opens file with gopacket's readers; nil when they do not know the format.
func independent(t *testing.T, file []byte, format pcapfile.Format) reference {
	t.Helper()
	if format == pcapfile.FormatPcapNG {
		opts := pcapgo.DefaultNgReaderOptions
		opts.WantMixedLinkType = true
		r, err := pcapgo.NewNgReader(bytes.NewReader(file), opts)
		require.NoError(t, err)
		return refNG{r}
	}
	r, err := pcapgo.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Logf("gopacket: %v", err)
		return nil
	}
	r.SetSnaplen(1 << 30)
	return refPcap{r}
}

// TestRealCaptures compares every third-party capture with an independent reader, frame by frame.
func TestRealCaptures(t *testing.T) {
	dir := captures(t)
	var files []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	}))
	compared := 0
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			r, err := pcapfile.Open(path, nil)
			if errors.Is(err, pcapfile.ErrNotCapture) && (strings.HasSuffix(path, ".md") || strings.HasSuffix(path, ".txt")) {
				return
			}
			require.NoError(t, err)
			defer r.Close()
			frames, err := readAll(t, r)
			if err != nil {
				t.Logf("ends with: %v", err)
			}
			require.NotEmpty(t, frames)
			require.Equal(t, r.Size(), r.BytesRead())
			t.Logf("%v %+v", len(frames), r.Info())

			file, rerr := os.ReadFile(path)
			require.NoError(t, rerr)
			if r.Info().Compression != "" {
				z, rerr := gzip.NewReader(bytes.NewReader(file))
				require.NoError(t, rerr)
				file, rerr = io.ReadAll(z)
				require.NoError(t, rerr)
			}
			ref := independent(t, file, r.Info().Format)
			if ref == nil {
				return
			}
			compared++
			for i, f := range frames {
				want, rerr := ref.next()
				require.NoError(t, rerr, "frame %d", i+1)
				require.Equal(t, want.Data, f.Data, "frame %d", i+1)
				require.Equal(t, time.Unix(0, want.Time).UTC(), f.Timestamp(), "frame %d", i+1)
				require.Equal(t, want.Length, f.Length, "frame %d", i+1)
				require.Equal(t, want.Link&0xff, f.Link&0xff, "frame %d: gopacket keeps 8 bits", i+1)
				require.Equal(t, uint64(i+1), f.Number)
			}
			_, rerr = ref.next()
			require.Equal(t, err == nil, errors.Is(rerr, io.EOF), "%v, %v", err, rerr)
		})
	}
	require.Greater(t, compared, 150)
}
