/** What the service takes, as a sentence. */
export const takenFormats =
  "qcow2, raw, VMDK, VDI, VHD or VHDX, also packed by gzip, bzip2, xz or zstd, or alone in an OVA or a tar archive; and ISO files to install from.";
