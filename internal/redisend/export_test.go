package redisend

const MaxTrips = maxTrips
