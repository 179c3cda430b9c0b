package meter

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/tcpfollow/tcpfollow/appid"
	"github.com/tcpfollow/tcpfollow/meter/nfpacket"
)

// Order says in which order flows are emitted, and with it when.
type Order uint8

// The orders of rows. What the rows say, but for their ids, does not depend on it.
const (
	// OrderNFStream is NFStream's: an idle flow is noticed when those created before it are gone, or when a packet comes
	// for it. A long flow keeps back all that began after it.
	OrderNFStream Order = iota
	// OrderExpiry emits a flow as soon as it is idle.
	OrderExpiry
	// OrderFirst emits flows in the order of their first packets. Those that end early wait, Config.MaxWaiting at most.
	OrderFirst
)

// Rules say how frames are decoded.
type Rules uint8

// The packet rules.
const (
	RulesNFStream Rules = iota // those of package nfpacket
	RulesStrict                // those of package packet: all tunnels, EtherTypes believed, fragments attributed, 32-bit sizes
)

// Never is a timeout that is switched off.
const Never time.Duration = -1

// Limits and their defaults.
const (
	// DefaultMaxActive is the most flows that are known at a time.
	DefaultMaxActive = 1 << 22
	// DefaultMaxWaiting is the most flows that wait for an earlier one, in OrderFirst.
	DefaultMaxWaiting = 1 << 16
	// MaxSPLT is the most packets of a flow that Config.SPLT can ask for.
	MaxSPLT = math.MaxUint16
	// MaxDissections is the most packets of a flow that Config.Dissections can ask for.
	MaxDissections = math.MaxUint8
	// DefaultMaxDissecting is the most bytes, 256 MiB, of flows that are being looked into.
	DefaultMaxDissecting = 256 << 20
	// DefaultDissectedBytes is the most bytes of one direction of a flow that are looked at.
	DefaultDissectedBytes = 16 << 10
)

// Config says what is metered. Its fields are taken literally, zero included: start from [DefaultConfig].
type Config struct {
	// IdleTimeout ends a flow that had no packet for so long; 0 ends a flow at each packet. [Never] switches it off.
	IdleTimeout time.Duration
	// ActiveTimeout cuts a flow that goes on for so long, when its next packet comes; 0 and [Never] as above.
	ActiveTimeout time.Duration
	// Accounting says which size of a packet counts.
	Accounting nfpacket.Accounting
	// DecodeTunnels enters GTP-U, CAPWAP and TZSP, and adds the column tunnel_id.
	DecodeTunnels bool
	// Statistics adds distributions of sizes and gaps, and counts of TCP flags.
	Statistics bool
	// SPLT is of how many packets the sequence of directions, sizes and gaps is kept, at most [MaxSPLT].
	SPLT int
	// Dissections is into how many packets of a flow package appid looks, at most [MaxDissections]; 0 switches it off.
	Dissections int
	// MaxFlows ends metering after so many flows, the rest is lost; 0 is no limit.
	MaxFlows uint64
	// Plugins add columns.
	Plugins []Plugin

	// Order is the order of rows.
	Order Order
	// Rules are the packet rules.
	Rules Rules
	// Compat65 makes sizes of IPv6 and what dissection says those of NFStream 6.5.4.
	Compat65 bool
	// TimeUnit is the unit of all times, a divisor of a millisecond. The default is a millisecond; the names of columns say
	// which.
	TimeUnit time.Duration
	// EndOnTCP also ends a flow when both sides have sent a FIN and that was acknowledged, or one of them an RST.
	EndOnTCP bool
	// KeepDirection lets a flow that an active timeout cut go on with the same source and destination, whoever speaks first.
	KeepDirection bool
	// MaxActive is the most flows known at a time; the first of the order of rows makes room for one more.
	MaxActive int
	// MaxDissecting is the most bytes that are looked at of all flows without a verdict together; a flow that goes beyond gets
	// its verdict at once.
	MaxDissecting int
	// MaxWaiting is the most flows that wait for an earlier one in OrderFirst; the earliest that waits then goes before.
	MaxWaiting int
	// Applications are the applications of host names for dissection; nil means those of package appid.
	Applications *appid.Applications
}

// DefaultConfig returns NFStream's defaults.
func DefaultConfig() Config {
	return Config{
		IdleTimeout: 120 * time.Second, ActiveTimeout: 1800 * time.Second, DecodeTunnels: true, Dissections: 20,
		TimeUnit: time.Millisecond, MaxActive: DefaultMaxActive, MaxWaiting: DefaultMaxWaiting,
		MaxDissecting: DefaultMaxDissecting,
	}
}

// check returns what is wrong with the configuration.
func (c *Config) check() error {
	switch {
	case c.IdleTimeout < Never, c.ActiveTimeout < Never:
		return errors.New("meter: negative timeout")
	case c.Accounting > nfpacket.PayloadSize:
		return fmt.Errorf("meter: no such accounting mode: %d", c.Accounting)
	case c.SPLT < 0, c.SPLT > MaxSPLT:
		return fmt.Errorf("meter: SPLT of %d packets: 0 to %d are possible", c.SPLT, MaxSPLT)
	case c.Dissections < 0, c.Dissections > MaxDissections:
		return fmt.Errorf("meter: %d dissections: 0 to %d are possible", c.Dissections, MaxDissections)
	case c.Order > OrderFirst:
		return fmt.Errorf("meter: no such order: %d", c.Order)
	case c.Rules > RulesStrict:
		return fmt.Errorf("meter: no such packet rules: %d", c.Rules)
	case c.TimeUnit <= 0 || time.Millisecond%c.TimeUnit != 0:
		return fmt.Errorf("meter: time unit %v does not divide a millisecond", c.TimeUnit)
	case c.MaxActive <= 0, c.MaxWaiting <= 0, c.MaxDissecting <= 0:
		return errors.New("meter: MaxActive, MaxWaiting and MaxDissecting must be positive; start from DefaultConfig")
	}
	return nil
}

// ticks returns a timeout in units of time; the largest number stands for never.
func (c *Config) ticks(timeout time.Duration) uint64 {
	if timeout == Never {
		return math.MaxUint64
	}
	return uint64(timeout / c.TimeUnit)
}
