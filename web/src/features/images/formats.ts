/** What the service takes, as a sentence. */
export const takenFormats =
  "qcow2, raw, VMDK, VDI, VHD or VHDX, also packed by gzip, xz or zstd; and ISO files to install from.";
