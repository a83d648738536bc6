/** What the service takes, as a sentence. */
export const takenFormats = "Disks as qcow2 files, and installation media as ISO files.";
