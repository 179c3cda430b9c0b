package meter

// NewShardedRounds is NewSharded with rounds of so many packets.
var NewShardedRounds = newSharded
