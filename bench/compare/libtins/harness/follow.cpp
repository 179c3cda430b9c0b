// Follows TCP streams with libtins' TCPStreamFollower, the one that cycapture wraps, and writes what it does.
//
// Standard input is a sequence of frames: link type and length, each in 32 bits of the machine's order, then the bytes.
// A line of the output is one of
//
//   V FRAME SRC SPORT DST DPORT FLAGS SEQ ACK LENGTH   TCP was found in a frame
//   X FRAME WHY                                        the frame could not be taken apart
//   O FRAME ID                                         a stream was opened
//   D FRAME ID CLIENT SERVER SUM                       data callback: bytes so far of each side, and a sum over them
//   E FRAME ID CLIENT SERVER SUM                       end callback
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#define private public // to see when a stream is opened, of which libtins tells nobody
#include <tins/tcp_stream.h>
#undef private
#include <tins/loopback.h>
#include <tins/tins.h>

using namespace Tins;

// side is a running FNV-1a sum over what one side has sent.
struct side {
    size_t seen = 0;
    uint64_t sum = 14695981039346656037ULL;

    void advance(const TCPStream::payload_type& payload) {
        for (; seen < payload.size(); ++seen) {
            sum = (sum ^ payload[seen]) * 1099511628211ULL;
        }
    }
};

struct sides {
    side client, server;
};

static unsigned long long frame;
static std::map<uint64_t, sides> known;

static void print(char what, TCPStream& s) {
    sides& k = known[s.id()];
    k.client.advance(s.client_payload());
    k.server.advance(s.server_payload());
    std::printf("%c %llu %llu %zu %zu %016llx\n", what, frame, (unsigned long long)s.id(), k.client.seen, k.server.seen,
                (unsigned long long)(k.client.sum ^ (k.server.sum << 1 | k.server.sum >> 63)));
}

static void on_data(TCPStream& s) { print('D', s); }

static void on_end(TCPStream& s) {
    print('E', s);
    known.erase(s.id());
}

// parse makes what libtins' own sniffer makes of a frame.
static std::unique_ptr<PDU> parse(uint32_t link, const uint8_t* data, uint32_t n) {
    switch (link) {
    case 0:
        return std::unique_ptr<PDU>(new Loopback(data, n));
    case 1:
        if (n > 13 && ((data[12] << 8) | data[13]) < 0x600) {
            return std::unique_ptr<PDU>(new Dot3(data, n));
        }
        return std::unique_ptr<PDU>(new EthernetII(data, n));
    case 12:
    case 14:
    case 101:
        if (n > 0 && data[0] >> 4 == 4) {
            return std::unique_ptr<PDU>(new IP(data, n));
        }
        if (n > 0 && data[0] >> 4 == 6) {
            return std::unique_ptr<PDU>(new IPv6(data, n));
        }
        throw std::runtime_error("neither IPv4 nor IPv6");
    case 105:
        return std::unique_ptr<PDU>(Dot11::from_bytes(data, n));
    case 113:
        return std::unique_ptr<PDU>(new SLL(data, n));
    case 127:
        return std::unique_ptr<PDU>(new RadioTap(data, n));
    case 192:
        return std::unique_ptr<PDU>(new PPI(data, n));
    }
    throw std::runtime_error("link type " + std::to_string(link));
}

static bool read(void* to, size_t n) { return std::fread(to, 1, n, stdin) == n; }

int main() {
    TCPStreamFollower follower;
    std::vector<uint8_t> data;
    uint32_t head[2];
    while (read(head, sizeof head)) {
        ++frame;
        data.resize(head[1]);
        if (!read(data.data(), head[1])) {
            return 1;
        }
        std::unique_ptr<PDU> pdu;
        try {
            pdu = parse(head[0], data.data(), head[1]);
        } catch (const std::exception& e) {
            std::printf("X %llu %s\n", frame, e.what());
            continue;
        }
        IP* ip = pdu->find_pdu<IP>();
        TCP* tcp = pdu->find_pdu<TCP>();
        if (ip && tcp) {
            std::printf("V %llu %s %u %s %u %u %u %u %u\n", frame, ip->src_addr().to_string().c_str(), tcp->sport(),
                        ip->dst_addr().to_string().c_str(), tcp->dport(), unsigned(tcp->flags()), tcp->seq(), tcp->ack_seq(),
                        tcp->inner_pdu() ? tcp->inner_pdu()->size() : 0);
        }
        uint64_t next = follower.last_identifier_;
        PDU* one = pdu.get();
        follower.follow_streams(&one, &one + 1, on_data, on_end);
        if (follower.last_identifier_ != next) {
            std::printf("O %llu %llu\n", frame, (unsigned long long)next);
        }
    }
    return 0;
}
