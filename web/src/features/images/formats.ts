/** The supported formats, as a sentence. */
export const takenFormats =
  "qcow2, raw, VMDK, VDI, VHD, VHDX, OVA, or ISO; optionally compressed (gzip, bzip2, xz, zstd) or in a tar archive.";
