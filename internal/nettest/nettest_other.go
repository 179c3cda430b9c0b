//go:build !linux

// Package nettest gives tests a network of their own, on Linux.
package nettest
