// Package bench holds no code of the program: it measures it. `make bench`
// builds the program, starts it beside the libvirt of this machine, and compares
// it with what virsh and cp do in the same minutes:
//
//   - creating a node, against `virsh vol-create-as` and `virsh define`;
//   - making nodes of images of 0.1, 1 and 10 GiB, against each other;
//   - listing 200 nodes, against `virsh list --all`;
//   - uploading 1 GiB, against `virsh vol-upload` and `cp`;
//   - a serial console, against `virsh console`;
//   - the peak memory of each.
//
// What the service does before 1,000 domains is measured by TestScale in cmd/sandboxlabs,
// on its own libvirtd.
//
// Speed is told as ratios, because the times of one machine say little about another.
// Nothing fails for being slow: the bench fails when something does not work, or is left
// over. Everything that it makes has one prefix and is removed at the end; what a killed
// run left behind, the next one removes.
//
// It needs virsh, qemu-img, and a user who may write to libvirt's folder of
// images. With BENCH_OUT it also writes its table to bench.md in that folder.
package bench
