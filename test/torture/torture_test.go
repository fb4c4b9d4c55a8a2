//go:build torture

// Package torture kills the program, and cuts the power under its spool, at
// random and at every step, and counts what is lost, doubled and out of order.
// `make torture` runs it for long, `make test` for two minutes. Package spool has the
// cuts of the power; that the journal itself may end before the saved position after
// one is TestPositionAheadOfJournal in journal/sdjournal and test/e2e.
package torture

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var (
	kills  = flag.Int("kills", 200, "kill the program at `N` random moments")
	rounds = flag.Int("rounds", 2, "kill it `N` times at each step")
	seed   = flag.Uint64("seed", 0, "repeat the choices of a run with this seed (default: any)")
)

// released is the program as it is released, and failing with its fail points.
var released, failing string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	flag.Parse()
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	fmt.Println("torture: seed", *seed)
	dir, err := os.MkdirTemp("", "router-torture-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	released, failing = filepath.Join(dir, "released"), filepath.Join(dir, "failing")
	for _, args := range [][]string{{"-o", released}, {"-tags", "failpoints", "-o", failing}} {
		build := exec.Command("go", append(append([]string{"build"}, args...), "../../cmd/journald-router")...)
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build the program:", err)
			return 1
		}
	}
	return m.Run()
}

func newRandom() *rand.Rand { return rand.New(rand.NewPCG(*seed, 0)) }
