package appid

import (
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// maxAnswers is the most answers that a finding lists.
const maxAnswers = 64

// dnsMessage is what a DNS message says, as far as it could be read.
type dnsMessage struct {
	query   string
	answers []string
	records []Record
	broken  bool
}

// parseDNS reads a DNS message (RFC 1035): its first question and its answers. What comes before a broken record is kept;
// ok tells that there was a question, or an answer without one, as in mDNS. What announces many more questions
// than it has room for is no message.
func parseDNS(b []byte) (m dnsMessage, ok bool) {
	var p dnsmessage.Parser
	const many, header, shortest = 48, 12, 5 // questions, bytes of the header and of the question for the root
	if _, err := p.Start(b); err != nil || be16(b[4:]) > many && be16(b[4:])*shortest > len(b)-header {
		return m, false
	}
	q, err := p.Question()
	switch {
	case err == nil:
		m.query = dnsName(q.Name)
		if p.SkipAllQuestions() != nil {
			m.broken = true
			return m, true
		}
	case err != dnsmessage.ErrSectionDone: //nolint:errorlint // returned as it is, by its documentation
		return m, false
	}
	for len(m.answers) < maxAnswers {
		rh, err := p.AnswerHeader()
		if err != nil {
			m.broken = err != dnsmessage.ErrSectionDone //nolint:errorlint // as above
			break
		}
		text, err := answer(&p, rh.Type)
		if err != nil {
			m.broken = true
			break
		}
		switch rh.Type {
		case dnsmessage.TypeA, dnsmessage.TypeAAAA:
			addr, _ := netip.ParseAddr(text)
			m.records = append(m.records, Record{Owner: dnsName(rh.Name), Addr: addr})
		case dnsmessage.TypeCNAME:
			m.records = append(m.records, Record{Owner: dnsName(rh.Name), Alias: text})
		default:
		}
		if text != "" {
			m.answers = append(m.answers, text)
		}
	}
	return m, q.Name.Length > 0 || len(m.answers) > 0
}

func answer(p *dnsmessage.Parser, kind dnsmessage.Type) (string, error) {
	switch kind {
	case dnsmessage.TypeA:
		r, err := p.AResource()
		return netip.AddrFrom4(r.A).String(), err
	case dnsmessage.TypeAAAA:
		r, err := p.AAAAResource()
		return netip.AddrFrom16(r.AAAA).String(), err
	case dnsmessage.TypeCNAME:
		r, err := p.CNAMEResource()
		return dnsName(r.CNAME), err
	case dnsmessage.TypePTR:
		r, err := p.PTRResource()
		return dnsName(r.PTR), err
	case dnsmessage.TypeNS:
		r, err := p.NSResource()
		return dnsName(r.NS), err
	case dnsmessage.TypeMX:
		r, err := p.MXResource()
		return dnsName(r.MX), err
	case dnsmessage.TypeSRV:
		r, err := p.SRVResource()
		return dnsName(r.Target), err
	case dnsmessage.TypeTXT:
		r, err := p.TXTResource()
		return strings.Join(r.TXT, ""), err
	default:
		return "", p.SkipAnswer()
	}
}

// dnsName returns a name in lower case, without the dot of the root.
func dnsName(n dnsmessage.Name) string {
	return lower(strings.TrimSuffix(n.String(), "."))
}

// looksLikeDNS reports whether a datagram can be a DNS message: a known operation, few sections, and no set bits that
// must be zero.
func looksLikeDNS(b []byte) bool {
	if len(b) < 12 || b[2]>>3&0xf > 5 || b[3]&0x40 != 0 {
		return false
	}
	questions := int(b[4])<<8 | int(b[5])
	answers := int(b[6])<<8 | int(b[7])
	return questions <= 16 && answers <= 256 && questions+answers > 0
}
