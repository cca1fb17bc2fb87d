// The DNS of a test cluster: CoreDNS with the two plugins that names of Services need, and not the cloud providers' that make up
// most of its build.
package main

import (
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"

	"github.com/coredns/coredns/coremain"
)

func main() { coremain.Run() }
