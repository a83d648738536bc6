import { QRCodeSVG } from "qrcode.react";

/** A text as a QR code: black on white in both themes, which cameras read best. */
export default function QRCode({ text, title }: { text: string; title: string }) {
  return <QRCodeSVG value={text} title={title} size={200} marginSize={4} level="M" role="img" />;
}
