"""Processor time that relational_stream takes for an event, in nanoseconds: stream.py OPEN TRIPLES

OPEN flows are open and wait for keys that do not come; then TRIPLES flows of three events run, one after the other.
Events are tuples of a key and a word.
"""
import sys
import time

from relational_stream import Flow, RelationalStream


class Three(Flow):
    def is_next_event(self, event):
        n = len(self.events)
        if n == 0:
            return event[1] == "a"
        return n < 3 and event[1] == "abc"[n] and event[0] == self.events[0][0]

    def is_complete(self):
        return len(self.events) == 3


opened, triples = int(sys.argv[1]), int(sys.argv[2])
stream = RelationalStream([Three])
# Without the flows of the traffic; starting one asks all others, too.
for i in range(opened):
    flow = Three([])
    flow.add_event(("key %d" % i, "a"))
    stream.incomplete_flows(Three).append(flow)
events = [("traffic %d" % i, word) for i in range(triples) for word in "abc"]
start = time.process_time()
for event in events:
    stream.ingest(event)
taken = time.process_time() - start
assert len(stream.incomplete_flows(Three)) == opened
assert len(stream.completed_flows(Three)) == triples
print(taken / len(events) * 1e9)
