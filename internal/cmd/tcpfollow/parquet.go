//go:build !noparquet

package tcpfollow

import (
	"io"

	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/meter/parquet"
)

// parquetWriter returns what makes the writer of -o parquet. Its library is a third of the program, and costs all commands
// 3 MB of memory: the build tag noparquet leaves it out.
func parquetWriter() makeWriter {
	return func(_ *meterOutput, w io.Writer, columns []meter.Column) (meter.Writer, error) {
		return parquet.New(w, columns, nil)
	}
}
