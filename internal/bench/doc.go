// Package bench contains no code of the program, only benchmarks for it. `make bench`
// builds the program, runs it with the libvirt of this machine, and compares it with virsh
// and cp under the same conditions:
//
//   - creating a node, compared with `virsh vol-create-as` and `virsh define`;
//   - creating nodes from images of 0.1, 1 and 10 GiB, compared with each other;
//   - listing 200 nodes, compared with `virsh list --all`;
//   - uploading 1 GiB, compared with `virsh vol-upload` and `cp`;
//   - a serial console, compared with `virsh console`;
//   - the peak memory of each.
//
// TestScale in cmd/sandboxlabs measures the service with 1,000 domains, on its own
// libvirtd.
//
// Results are ratios, because the times of one machine say little about another. Slow
// results are not failures: the bench fails when something does not work, or when something
// is left over. Everything that it creates has one prefix and is removed at the end. The
// next run removes what a killed run left.
//
// It needs virsh, qemu-img, and a user who may write to libvirt's images folder. With
// BENCH_OUT it also writes its table to bench.md in that folder.
package bench
