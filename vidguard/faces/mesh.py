"""The 468 points of MediaPipe's face mesh, for forgeries that follow a face's shape; optional: in `vidguard[train]`.

Model: Kartynnik et al. 2019, "Real-time facial surface geometry from monocular video on mobile GPUs"; the file is read
out of the installed mediapipe package (Apache-2.0), whose own code isn't run.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vidguard.errors import InputError

POINTS: Final = 468
_SIDE: Final = 192
_ZOOM: Final = 1.5  # the square the model was trained on, in sides of the face's bounding square
_FIRST_ZOOM: Final = 3.2  # the same in interocular distances, before the face's bounds are known
_MIN_LOGIT: Final = 5.0  # of the model's own "there is a face": below it, meshes on DFDC's crops lie beside the face
_INSTALL_MODEL: Final = "pip install --no-deps mediapipe==0.10.21"


class FaceMesh:
    """Finds a face's mesh from its five landmarks. Not thread-safe; 2.4 ms a face on one core."""

    def __init__(self) -> None:
        try:
            # the stubs are missing where it is installed, and all of it elsewhere
            from ai_edge_litert.interpreter import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
                Interpreter,
            )
        except ImportError as error:
            raise InputError(f"face meshes need: pip install ai-edge-litert && {_INSTALL_MODEL}") from error
        self._model = Interpreter(str(_model_file()), num_threads=1)
        self._model.allocate_tensors()
        self._input = self._model.get_input_details()[0]["index"]
        self._outputs = [output["index"] for output in self._model.get_output_details()]

    def find(self, image: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Mesh (468, 2) float32 px of the face with landmarks (5, 2) px in an (H, W, 3) uint8 RGB picture.

        None where the model sees no face.
        """
        eyes = landmarks[1] - landmarks[0]
        roll = float(np.arctan2(eyes[1], eyes[0]))
        center = 0.55 * landmarks[:2].mean(0) + 0.45 * landmarks[3:].mean(0)
        reach = max(float(np.hypot(*eyes)), float(np.hypot(*(landmarks[3:].mean(0) - landmarks[:2].mean(0)))))
        mesh, _ = self._run(image, center, _FIRST_ZOOM * reach, roll)
        low, high = mesh.min(0), mesh.max(0)
        mesh, logit = self._run(image, (low + high) / 2, _ZOOM * float((high - low).max()), roll)
        return mesh if logit >= _MIN_LOGIT and np.isfinite(mesh).all() else None

    def _run(
        self, image: NDArray[np.uint8], center: NDArray[np.float32], side: float, roll: float
    ) -> tuple[NDArray[np.float32], float]:
        turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]]) * (_SIDE / max(side, 1.0))
        matrix = np.concatenate([turn, (_SIDE / 2 - turn @ center)[:, None]], axis=1)
        crop = cv2.warpAffine(image, matrix, (_SIDE, _SIDE), borderMode=cv2.BORDER_REPLICATE)
        self._model.set_tensor(self._input, crop[None].astype(np.float32) / 255.0)
        self._model.invoke()
        points, logit = (self._model.get_tensor(index).ravel() for index in self._outputs)
        back = cv2.invertAffineTransform(matrix)
        mesh = points.reshape(POINTS, 3)[:, :2] @ back[:, :2].T + back[:, 2]
        return mesh.astype(np.float32), float(logit[0])


def _model_file() -> Path:
    spec = importlib.util.find_spec("mediapipe")
    if spec is None or spec.origin is None:
        raise InputError(f"face meshes need mediapipe's model file: {_INSTALL_MODEL}")
    file = Path(spec.origin).parent / "modules" / "face_landmark" / "face_landmark.tflite"
    if not file.is_file():
        raise InputError(f"this mediapipe has no model inside: {_INSTALL_MODEL}")
    return file
