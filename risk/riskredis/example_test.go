package riskredis_test

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-go/vestibule/risk/riskredis"
)

func ExampleNewFlows() {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true}) // nothing listens there
	defer client.Close()
	flows, err := riskredis.NewFlows(client, &riskredis.Options{Timeout: 20 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	// risk.Options{Flows: flows} gives it to an engine, which answers an outage by its OnFlowError.
	_, _, err = flows.Load(context.Background(), "flow")
	fmt.Println(err != nil)
	// Output: true
}
