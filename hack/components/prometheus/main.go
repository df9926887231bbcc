// Command check-metrics reads a page of metrics from its standard input and says what is wrong
// with it, as `promtool check metrics` does: the linter is the same. It is apart because promtool
// takes longer to build than Prometheus itself.
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func main() {
	problems, err := promlint.New(os.Stdin).Lint()
	if err != nil {
		log.Fatal(err)
	}
	for _, problem := range problems {
		fmt.Println(problem.Metric, problem.Text)
	}
	if len(problems) > 0 {
		os.Exit(3)
	}
}
