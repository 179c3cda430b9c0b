//go:build noparquet

package tcpfollow

func parquetWriter() makeWriter { return nil }
