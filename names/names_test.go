package names_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/names"
)

var (
	addr  = netip.MustParseAddr("192.0.2.1")
	start = time.Unix(1700000000, 0)
)

func newTable(t *testing.T, cfg *names.Config) *names.Table {
	t.Helper()
	table, err := names.New(cfg)
	require.NoError(t, err)
	return table
}

func TestLookup(t *testing.T) {
	table := newTable(t, &names.Config{MaxAge: time.Hour})
	_, ok := table.Lookup(addr, start)
	require.False(t, ok)
	table.Add(addr, "Cdn.Example.NET.", names.DNS, start)
	table.Add(addr, "other.example", names.DNS, start.Add(time.Minute))
	for at, want := range map[time.Duration]string{-1: "", 0: "cdn.example.net", time.Minute: "other.example", 2 * time.Hour: ""} {
		n, ok := table.Lookup(addr, start.Add(at))
		require.Equal(t, want, n.Name, at)
		require.Equal(t, want != "", ok, at)
	}
	table.Add(addr, "www.example:443", names.SNI, start)
	n, _ := table.Lookup(addr, start.Add(time.Minute))
	require.Equal(t, names.Name{Name: "www.example", Source: names.SNI, Seen: start}, n, "what a client asked for says more")
	n, _ = table.Lookup(netip.MustParseAddr("::ffff:192.0.2.1"), start)
	require.Equal(t, "www.example", n.Name, "the same address")
	table.Add(addr, "bad name", names.SNI, start)
	table.Add(netip.Addr{}, "a.example", names.SNI, start)
	require.Equal(t, 1, table.Len())
	require.Len(t, table.All(addr), 3)
}

func TestAnswer(t *testing.T) {
	table := newTable(t, nil)
	other, third := netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::1")
	table.Answer("WWW.example.com.", []names.Record{
		{Owner: "edge.cdn.example", Addr: third},
		{Owner: "www.example.com", Alias: "www.cdn.example."},
		{Owner: "www.cdn.example", Alias: "edge.cdn.example"},
		{Owner: "edge.cdn.example", Addr: addr},
		{Owner: "bank.example", Addr: other}, // nobody asked
	}, names.DNS, start)
	for _, a := range []netip.Addr{addr, third} {
		n, ok := table.Lookup(a, start)
		require.True(t, ok)
		require.Equal(t, "www.example.com", n.Name)
	}
	_, ok := table.Lookup(other, start)
	require.False(t, ok)
	table.Answer("a.example", []names.Record{{Owner: "a.example", Alias: "b.example"}, {Owner: "b.example", Alias: "a.example"}}, names.DNS, start)
	require.EqualValues(t, 1, table.Stats().Loops)
	require.Equal(t, 2, table.Len())
}

func TestLimits(t *testing.T) {
	table := newTable(t, &names.Config{MaxAddresses: 3, MaxNames: 2})
	for i := range 10 {
		table.Add(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), "a.example", names.DNS, start)
	}
	require.Equal(t, 3, table.Len())
	require.EqualValues(t, 7, table.Stats().LimitAddresses)
	for i := range 5 {
		table.Add(addr, fmt.Sprintf("n%d.example", i), names.DNS, start)
		table.Add(addr, fmt.Sprintf("n%d.example", i), names.DNS, start)
	}
	require.Len(t, table.All(addr), 2)
	require.EqualValues(t, 3, table.Stats().LimitNames)
	require.EqualValues(t, 20, table.Stats().Added)
	_, err := names.New(&names.Config{MaxNames: -1})
	require.Error(t, err)
}

func TestReadHosts(t *testing.T) {
	table := newTable(t, nil)
	require.NoError(t, table.ReadHosts(strings.NewReader("# local\n127.0.0.1 localhost loop\n\n::1\tip6-localhost # six\n192.0.2.1 box\n")))
	n, _ := table.Lookup(addr, start)
	require.Equal(t, names.Name{Name: "box"}, n)
	table.Add(addr, "dns.example", names.DNS, start)
	n, _ = table.Lookup(addr, start)
	require.Equal(t, "dns.example", n.Name)
	require.ErrorContains(t, table.ReadHosts(strings.NewReader("a b\n")), "line 1")
	require.ErrorContains(t, table.ReadHosts(strings.NewReader("\n192.0.2.1\n")), "line 2")
}

func TestSourceString(t *testing.T) {
	require.Equal(t, "hosts dns mdns host sni unknown", fmt.Sprint(names.Hosts, names.DNS, names.MDNS, names.Host, names.SNI, names.Source(99)))
}

// Whatever responses say, the table stays within its bounds.
func FuzzAnswer(f *testing.F) {
	f.Add("a b\nb c\nc 192.0.2.1", "a")
	f.Add("a a\na 192.0.2.1\n", "A.")
	f.Fuzz(func(t *testing.T, text, query string) {
		table := newTable(t, &names.Config{MaxAddresses: 2, MaxNames: 2})
		var records []names.Record
		for line := range strings.Lines(text) {
			owner, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			a, _ := netip.ParseAddr(value)
			records = append(records, names.Record{Owner: owner, Addr: a, Alias: value})
		}
		table.Answer(query, records, names.DNS, start)
		require.LessOrEqual(t, table.Len(), 2)
		for _, r := range records {
			for _, n := range table.All(r.Addr) {
				require.True(t, strings.EqualFold(strings.TrimSuffix(query, "."), n.Name) || strings.Contains(query, ":"))
			}
		}
	})
}

func ExampleTable_Answer() {
	table, err := names.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	table.Answer("www.example.com", []names.Record{
		{Owner: "www.example.com", Alias: "cdn.example.net"},
		{Owner: "cdn.example.net", Addr: netip.MustParseAddr("192.0.2.7")},
	}, names.DNS, time.Unix(0, 0))
	name, _ := table.Lookup(netip.MustParseAddr("192.0.2.7"), time.Unix(60, 0))
	fmt.Println(name.Name, "by", name.Source)
	// Output: www.example.com by dns
}
