import { NavLink } from "react-router";

import { paths } from "../../shared/paths";
import { PageHeader } from "../../shared/ui/PageHeader";
import { TabLinks } from "../../shared/ui/TabLinks";
import "./images.css";

/** The top of the library and of the catalogue. */
export function ImagesHeader() {
  return (
    <>
      <PageHeader
        title="Images"
        description="Disks that nodes are made from. A node writes to an overlay of its own: its image never changes."
      />
      <TabLinks label="Views of the images">
        <NavLink to={paths.images} end>
          Library
        </NavLink>
        <NavLink to={paths.catalog}>Catalogue</NavLink>
      </TabLinks>
    </>
  );
}
