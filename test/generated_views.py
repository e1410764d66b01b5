"""Views of simple rooms in Taskonomy's official layout and encodings: boxes in a room, by ray casting.

What a colour is made of shows in several domains, in none of them whole: the paint is of the surface's
orientation (normal), its brightness of the light (reshading), its tint of the distance (depth); painted
squares show in the texture edges, borders of objects in the occlusion edges. So a network that sees two
domains can do better than one.
"""

from pathlib import Path

import cv2
import numpy as np

from asymfusion_ros.cli.main import main

DOMAINS = ("rgb", "depth_zbuffer", "depth_euclidean", "normal", "reshading", "edge_occlusion", "edge_texture")
INVALID = 65535  # the depth where the scan has no surface
STEP = 1 / 512  # metres
STRONGEST = {"edge_occlusion": 11584, "edge_texture": 11355}  # of 16 bits
# RGB of what faces along x, y and z: walls, floor and ceiling, walls; and of boxes
PAINT = np.array([[200, 120, 90], [120, 130, 110], [90, 130, 190]], np.float32)
BOX_PAINT = np.array([[220, 190, 60], [170, 80, 150], [80, 190, 120]], np.float32)
HAZE = np.array([70, 60, 110], np.float32)  # what distance tints towards
AMBIENT = 0.2


def view_name(building, number):
    """BUILDING/point_P_view_V: two views of each point."""
    return f"{building}/point_{number // 2}_view_{number % 2}"


def domain_file(root, domain, name):
    """The official place of a view's image."""
    return Path(root) / domain / f"{name}_domain_{domain}.png"


def write_taskonomy(root, buildings=("ackerman", "beechwood"), views=4, size=64, seed=0):
    """DOMAIN/BUILDING/point_P_view_V_domain_DOMAIN.png for each of DOMAINS, ``views`` of each building."""
    for index, building in enumerate(buildings):
        rng = np.random.default_rng((seed, index))
        room = _room(rng)
        for number in range(views):
            for domain, image in _view(room, rng, size).items():
                path = domain_file(root, domain, view_name(building, number))
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image)
    return Path(root)


def prepared_views(root, domains, views, size, train, val):
    """The same of two buildings as `asymfusion prepare` makes a folder of it: ``root``/data."""
    write_taskonomy(root / "taskonomy", views=views, size=size)
    words = ["prepare", "taskonomy", "--root", root / "taskonomy", "--domains", *domains]
    words += ["--train", train, "--val", val, "--output", root / "data"]
    assert main([str(word) for word in words]) == 0
    return root / "data"


def _room(rng):
    """(size of the room, boxes as N x 2 x 3 corners, the lamp's place): metres, y up."""
    size = rng.uniform((3, 2.4, 4), (6, 3, 8))
    low = np.stack([rng.uniform(0.1, 0.7, 4) * size[0], np.zeros(4), rng.uniform(0.35, 0.8, 4) * size[2]], 1)
    boxes = np.stack([low, low + rng.uniform((0.4, 0.3, 0.4), (1.4, 1.6, 1.2), (4, 3))], 1)
    return size, boxes, rng.uniform(0.25, 0.75, 3) * size


def _view(room, rng, size):
    """One view: an image by domain, H x W x 3 RGB or H x W, in the stored type."""
    extent, boxes, lamp = room
    camera = extent * (rng.uniform(0.3, 0.7), rng.uniform(0.45, 0.65), rng.uniform(0.05, 0.2))
    yaw, pitch, focal = rng.uniform(-0.5, 0.5), rng.uniform(-0.25, 0.1), rng.uniform(0.7, 1.0)
    column, row = np.meshgrid((np.arange(size) + 0.5) / size * 2 - 1, 1 - (np.arange(size) + 0.5) / size * 2)
    eye = np.stack([column, row, np.full_like(column, 2 * focal)], -1) / (2 * focal)  # z is 1: t is the depth
    turn_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    turn = turn_y @ turn_x
    depth, facing, box = _cast(camera, eye @ turn.T, extent, boxes)
    place = camera + depth[..., None] * (eye @ turn.T)

    to_lamp = lamp - place
    distance = np.linalg.norm(to_lamp, axis=-1)
    light = np.abs((facing * to_lamp).sum(-1)) / distance / (1 + 0.12 * distance**2)
    shade = np.clip(AMBIENT + light, 0, 1)
    axis = np.abs(facing).argmax(-1)
    squares = np.where(np.arange(3) == axis[..., None], 0, np.floor(1.7 * place)).sum(-1) % 2
    paint = np.where((box >= 0)[..., None], BOX_PAINT[box % 3], PAINT[axis]) * (1 - 0.3 * squares[..., None])
    haze = (1 - np.exp(-depth / 5))[..., None]
    rgb = 1.3 * paint * shade[..., None] * (1 - haze) + HAZE * haze
    # a hole of the scan: a photograph shows what is there, the mesh has nothing
    hole = (axis == 2) & (box < 0) & (np.abs(place[..., 0] / extent[0] - 0.3) < 0.12) & (place[..., 1] > 1.7)
    rgb[hole] = (235, 240, 250)

    def metres(values):
        return np.where(hole, INVALID, np.minimum(np.rint(values / STEP), INVALID - 1)).astype(np.uint16)

    normal = np.rint(127 + 127 * (facing @ turn))
    normal[hole] = 127
    return {
        "rgb": rgb.clip(0, 255).astype(np.uint8),
        "depth_zbuffer": metres(depth),
        "depth_euclidean": metres(depth * np.linalg.norm(eye, axis=-1)),
        "normal": normal.astype(np.uint8),
        "reshading": np.where(hole, 0, 255 * shade).astype(np.uint8)[..., None].repeat(3, -1),
        "edge_occlusion": _edges(np.log(depth), 0.5, STRONGEST["edge_occlusion"]),
        "edge_texture": _edges(rgb.mean(-1), 60, STRONGEST["edge_texture"]),
    }


def _cast(camera, rays, extent, boxes):
    """(depth H x W, the surface's direction H x W x 3, the index of the box or -1) of the nearest surface."""
    with np.errstate(divide="ignore"):
        step = 1 / np.where(rays == 0, 1e-9, rays)
    leaves = np.maximum(
        (0 - camera) * step, (extent - camera) * step
    )  # by axis, where the ray leaves the room
    depth, axis, found = leaves.min(-1), leaves.argmin(-1), np.full(rays.shape[:2], -1)
    for index, (low, high) in enumerate(boxes):
        one, other = (low - camera) * step, (high - camera) * step
        near, far = np.minimum(one, other), np.maximum(one, other)
        enters = near.max(-1)
        hit = (enters < far.min(-1)) & (enters > 0.05) & (enters < depth)
        depth, axis = np.where(hit, enters, depth), np.where(hit, near.argmax(-1), axis)
        found = np.where(hit, index, found)
    facing = np.eye(3)[axis] * -np.sign(np.take_along_axis(rays, axis[..., None], -1))
    return depth, facing, found


def _edges(values, full, strongest):
    """16 bit: the strength of a change between neighbours, ``strongest`` where it is ``full`` or more."""
    down, right = np.zeros_like(values), np.zeros_like(values)
    down[1:], right[:, 1:] = np.diff(values, axis=0), np.diff(values, axis=1)
    return (np.clip(np.hypot(down, right) / full, 0, 1) * strongest).astype(np.uint16)
