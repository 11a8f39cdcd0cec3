// cAdvisor of its own modules (the command itself is none): what infra/monitoring/cadvisor asks of it, and nothing else. Its flags are the command's.
package main

import (
	"flag"
	"log"
	"net/http"
	"strings"
	"sync"
	"time"

	_ "github.com/google/cadvisor/container/docker/install"
	"github.com/google/cadvisor/lib/cache/memory"
	"github.com/google/cadvisor/lib/container"
	"github.com/google/cadvisor/lib/manager"
	"github.com/google/cadvisor/lib/metrics"
	"github.com/google/cadvisor/lib/model"
	"github.com/google/cadvisor/lib/utils/sysfs"
	"github.com/google/cadvisor/utils/oomparser"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// oomCounter adds to what the manager knows how often each container ran out of memory: the library leaves that to the command.
type oomCounter struct {
	manager.Manager
	lock  sync.Mutex
	kills map[string]uint64
}

// watch counts what the kernel says, from now on; where its messages cannot be read nothing is counted.
func (c *oomCounter) watch() {
	parser, err := oomparser.New()
	if err != nil {
		log.Printf("the kernel's messages cannot be read, and so nobody is seen to run out of memory: %v", err)
		return
	}
	found := make(chan *oomparser.OomInstance, 10)
	go parser.StreamOoms(found)
	for one := range found {
		c.lock.Lock()
		c.kills[one.ContainerName]++
		c.lock.Unlock()
	}
}

func (c *oomCounter) GetRequestedContainersInfo(name string, options model.RequestOptions) (map[string]*model.ContainerInfo, error) {
	all, err := c.Manager.GetRequestedContainersInfo(name, options)
	c.lock.Lock()
	defer c.lock.Unlock()
	for _, one := range all {
		for _, stats := range one.Stats {
			stats.OOMEvents = c.kills[one.Name]
		}
	}
	return all, err
}

func main() {
	flag.Bool("store_container_labels", false, "true is not known here")
	labels := flag.String("whitelisted_container_labels", "", "labels of containers that their series have")
	var enabled container.MetricSet
	flag.Var(&enabled, "enable_metrics", "kinds of series, commas between them")
	klog.InitFlags(nil)
	flag.Parse()

	// an empty list would not do: the library asks for the first of each
	none := []string{""}
	watched, err := manager.New(memory.New(2*time.Minute, nil), sysfs.NewRealSysFs(), manager.HousekeepingConfigFlags, enabled, none, none, "", 0)
	if err != nil {
		log.Fatal(err)
	}
	if err := watched.Start(); err != nil {
		log.Fatal(err)
	}
	counted := &oomCounter{Manager: watched, kills: map[string]uint64{}}
	if enabled.Has(container.OOMMetrics) {
		go counted.watch()
	}

	registry := prometheus.NewRegistry()
	options := model.RequestOptions{IdType: "name", Count: 1, Recursive: true}
	registry.MustRegister(metrics.NewPrometheusCollector(counted, metrics.BaseContainerLabels(strings.Split(*labels, ",")), enabled, clock.RealClock{}, options))
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	http.HandleFunc("/healthz", func(answer http.ResponseWriter, _ *http.Request) { _, _ = answer.Write([]byte("ok")) })
	log.Fatal(http.ListenAndServe(":8080", nil))
}
