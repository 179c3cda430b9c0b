module github.com/tcpfollow/tcpfollow/bench/compare

go 1.25.0

replace github.com/tcpfollow/tcpfollow => ../..

require (
	github.com/google/gopacket v1.1.19
	github.com/stretchr/testify v1.12.1
	github.com/tcpfollow/tcpfollow v0.0.0
)

require (
	github.com/andybalholm/brotli v1.2.8 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	golang.org/x/net v0.58.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)
