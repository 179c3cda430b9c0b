package pcapfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

func Example() {
	var file bytes.Buffer
	w, err := pcapfile.NewWriter(&file, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	start := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	for i, text := range []string{"a frame", "another frame"} {
		at := start.Add(time.Duration(i) * time.Millisecond)
		w.Write(&packet.Frame{Data: []byte(text), Time: at.UnixNano(), Length: 60, Link: 1})
	}
	if err := w.Close(); err != nil { // errors of Write stay until here
		fmt.Println(err)
		return
	}

	r, err := pcapfile.NewReader(&file, "example.pcap", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	var b packet.Batch
	for {
		if err = r.ReadBatch(&b); err != nil {
			break
		}
		for i := range b.Frames {
			f := &b.Frames[i]
			fmt.Println(f.Number, f.Timestamp().Format("15:04:05.000"), f.Length, string(f.Data))
		}
	}
	fmt.Println(errors.Is(err, io.EOF), r.Info().Format)
	// Output:
	// 1 12:00:00.000 60 a frame
	// 2 12:00:00.001 60 another frame
	// true pcap
}

func ExampleError() {
	file := []byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x01\x00\x00\x00" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00\x40\x00\x00\x00and no more")
	r, err := pcapfile.NewReader(bytes.NewReader(file), "example.pcap", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	err = r.ReadBatch(new(packet.Batch))
	var at *pcapfile.Error
	if errors.As(err, &at) {
		fmt.Println(at)
		fmt.Println(at.Offset, errors.Is(err, pcapfile.ErrTruncated))
	}
	// Output:
	// example.pcap: frame 1 at byte 24: record cut off: 11 of 64 bytes
	// 24 true
}
