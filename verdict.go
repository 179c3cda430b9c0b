package tcpfollow

// Verdict says what became of one packet.
type Verdict uint8

// The verdicts.
const (
	NotTCP        Verdict = iota // no packet, or one of another protocol
	Undecodable                  // the frame makes no sense, see packet.Status
	Fragment                     // part of an IP datagram that is not complete
	BadChecksum                  // a TCP checksum that is wrong for good
	Reentrant                    // fed from inside a callback, and refused
	NoStream                     // belongs to no connection, and opens none
	Opened                       // opened a connection, or showed that one was not reset
	Control                      // no new payload: handshake, acknowledgement, FIN
	Data                         // payload was delivered
	Held                         // payload waits for an earlier segment
	Duplicate                    // payload that was there before
	KeepAlive                    // a probe, whose byte is no data
	OutOfWindow                  // too far from the bytes around it to be of this stream
	BeforeStart                  // bytes before the first that is followed
	AfterFIN                     // payload behind the sender's FIN
	AfterEnd                     // late packet of a connection that has ended, as far as is known
	Unwanted                     // payload of a direction that was stopped, or too deep
	BadSYN                       // a SYN that fits no opening, or not yet
	BadReset                     // a reset that its receiver would have ignored; bytes in it may yet fill a hole
	Closed                       // ended the connection
	CapturedTwice                // a frame that was there before, see Config.Duplicates
	numVerdicts
)

// String returns the verdict in one or two words.
func (v Verdict) String() string {
	names := [numVerdicts]string{
		"not TCP", "undecodable", "fragment", "bad checksum", "re-entrant", "no stream", "opened", "control", "data",
		"held", "duplicate", "keep-alive", "out of window", "before start", "after FIN", "after end", "unwanted",
		"bad SYN", "bad reset", "closed", "captured twice",
	}
	if v >= numVerdicts {
		return "unknown"
	}
	return names[v]
}

// Stats count what a follower has seen and lost.
type Stats struct {
	// Frames is the number of frames and packets fed; Verdicts tells what became of them, by Verdict.
	Frames   uint64
	Verdicts [numVerdicts]uint64
	// Streams is the number of streams opened; Ends tells how they ended, by EndReason.
	Streams uint64
	Ends    [numEndReasons]uint64
	// Bytes is the number of payload bytes delivered.
	Bytes uint64
	// Gaps and GapBytes count the holes that were given up.
	Gaps, GapBytes uint64
	// Conflicts counts bytes that came twice and differed; Unverified counts those that came twice and could not
	// be compared, because the first copy was gone.
	Conflicts, Unverified uint64
	// BeforeStart, AfterFIN, AfterEnd and Unwanted count payload bytes that were not delivered, by Verdict. What comes
	// after a reset leaves AfterEnd again when it turns out to be of a stream that goes on.
	BeforeStart, AfterFIN, AfterEnd, Unwanted uint64
	// LimitBuffered, LimitTotal and LimitHole count holes given up because of Limits.Buffered or Segments,
	// Limits.TotalBuffered, and Timeouts.Hole.
	LimitBuffered, LimitTotal, LimitHole uint64
	// LimitConnections counts evictions, LimitPayload and LimitDepth directions that were cut.
	LimitConnections, LimitPayload, LimitDepth uint64
	// UrgentSegments counts segments with an urgent pointer, Urgent the octets that were taken out, and LimitUrgent
	// those that were left in because more than Limits.Segments were waited for.
	UrgentSegments, Urgent, LimitUrgent uint64
	// LimitHistory counts directions of which less is kept than Config.History, because of Limits.TotalHistory.
	LimitHistory uint64
	// LimitOrigins counts directions of which not all origins are kept, Untraced the bytes that have none.
	LimitOrigins, Untraced uint64
}

// add adds the counters of o.
func (s *Stats) add(o *Stats) {
	for i, n := range o.Verdicts {
		s.Verdicts[i] += n
	}
	for i, n := range o.Ends {
		s.Ends[i] += n
	}
	for _, c := range []struct {
		to *uint64
		n  uint64
	}{
		{&s.Frames, o.Frames},
		{&s.Streams, o.Streams},
		{&s.Bytes, o.Bytes},
		{&s.Gaps, o.Gaps},
		{&s.GapBytes, o.GapBytes},
		{&s.Conflicts, o.Conflicts},
		{&s.Unverified, o.Unverified},
		{&s.BeforeStart, o.BeforeStart},
		{&s.AfterFIN, o.AfterFIN},
		{&s.AfterEnd, o.AfterEnd},
		{&s.Unwanted, o.Unwanted},
		{&s.LimitBuffered, o.LimitBuffered},
		{&s.LimitTotal, o.LimitTotal},
		{&s.LimitHole, o.LimitHole},
		{&s.LimitConnections, o.LimitConnections},
		{&s.LimitPayload, o.LimitPayload},
		{&s.LimitDepth, o.LimitDepth},
		{&s.UrgentSegments, o.UrgentSegments},
		{&s.Urgent, o.Urgent},
		{&s.LimitUrgent, o.LimitUrgent},
		{&s.LimitHistory, o.LimitHistory},
		{&s.LimitOrigins, o.LimitOrigins},
		{&s.Untraced, o.Untraced},
	} {
		*c.to += c.n
	}
}

// LimitsHit reports whether a limit cost bytes or streams.
func (s *Stats) LimitsHit() bool {
	return s.LimitBuffered+s.LimitTotal+s.LimitHole+s.LimitConnections > 0
}
