import { NavLink } from "react-router";

import { paths } from "../../shared/paths";
import { PageHeader } from "../../shared/ui/PageHeader";
import { TabLinks } from "../../shared/ui/TabLinks";
import "./images.css";

/** The header of the library and the catalogue. */
export function ImagesHeader() {
  return (
    <>
      <PageHeader title="Images" description="Disk images for creating nodes. Nodes never modify their image." />
      <TabLinks label="Image views">
        <NavLink to={paths.images} end>
          Library
        </NavLink>
        <NavLink to={paths.catalog}>Catalogue</NavLink>
      </TabLinks>
    </>
  );
}
