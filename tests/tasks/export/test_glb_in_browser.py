"""GLB files in a real browser: three.js, which trimesh carries, reads, moves and draws them."""

import base64
import io
import json
import re
import zipfile

import numpy as np
import pytest
import trimesh
from chromium import browse, needs_browser, picture_of

from model.body import skeleton
from tasks.export import glb

pytestmark = needs_browser
WEBGL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
FRAME = 5
SHOW = """
var scene = new THREE.Scene(), camera = new THREE.PerspectiveCamera(VIEW, 4 / 3, 0.1, 100);
scene.background = new THREE.Color(0xffffff);
scene.add(new THREE.DirectionalLight(0xffffff, 1.5));
var renderer = new THREE.WebGLRenderer({antialias: true, preserveDrawingBuffer: true});
renderer.setSize(640, 480);
document.body.appendChild(renderer.domElement);
new THREE.GLTFLoader().load("data:application/octet-stream;base64,FILE", function (gltf) {
  scene.add(gltf.scene);
  var mixer = new THREE.AnimationMixer(gltf.scene);
  gltf.animations.forEach(function (clip) { mixer.clipAction(clip).play(); });
  mixer.setTime(TIME);
  scene.updateMatrixWorld(true);
  var found = {};
  gltf.scene.traverse(function (node) {
    if (node.isBone) found[node.name] = node.getWorldPosition(new THREE.Vector3()).toArray();
  });
  renderer.render(scene, camera);
  var told = document.createElement("pre");
  told.id = "joints";
  told.textContent = JSON.stringify(found);
  document.body.appendChild(told);
});
"""


@pytest.fixture(scope="module")
def page(clip, ehm, tmp_path_factory):
    """Shows a frame of a track through the camera of its photos, which is at the origin and looks along -z."""
    with zipfile.ZipFile(io.BytesIO(trimesh.resources.get_bytes("templates/viewer.zip"))) as pages:
        viewer = pages.read("viewer.html.template").decode()
    library, _ = viewer.split("var camera,controls,scene")
    script = SHOW.replace("FILE", base64.b64encode(glb.encode(clip, ehm)).decode())
    script = script.replace("TIME", str(FRAME / 30)).replace("VIEW", str(np.degrees(2 * np.arctan(120 / 300))))
    path = tmp_path_factory.mktemp("page") / "track.html"
    path.write_text(f"{library}{script}</script></body></html>")
    return path


def test_the_joints_of_a_frame_are_the_labels(page, labelled):
    dom = browse(f"file://{page}", page.parent / "profile", "--dump-dom", *WEBGL)
    told = re.search(r'<pre id="joints">(.*?)</pre>', dom)
    assert told, "three.js did not read the file"
    found = json.loads(told[1])
    frames, _, joints = labelled
    wanted = joints[frames.tolist().index(FRAME)] * [1, -1, -1]
    assert set(found) == set(skeleton.SMPLX_JOINT_NAMES)
    shown = np.array([found[name] for name in skeleton.SMPLX_JOINT_NAMES])
    assert np.linalg.norm(shown - wanted, axis=1).max() < 1e-3


def test_the_picture_shows_the_body_where_the_photo_has_it(page, labelled):
    pixels = picture_of(f"file://{page}", page.parent, *WEBGL, size="640,480").astype(int)
    rows, columns = np.nonzero(np.abs(pixels - 255).sum(-1) > 60)
    frames, vertices, _ = labelled
    own = vertices[frames.tolist().index(FRAME)]
    points = 2 * (300 * own[:, :2] / own[:, 2:] + [160, 120])  # the photo is 320 x 240, the page twice as large
    low, high = points.min(0), points.max(0)
    np.testing.assert_allclose([columns.min(), rows.min()], low, atol=4)
    np.testing.assert_allclose([columns.max(), rows.max()], high, atol=4)
