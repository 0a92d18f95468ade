"""What a platform engineer says about a compiled pipeline: images, resources, secrets, volumes, retries."""

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from slimline.core.config import Config

Format: TypeAlias = Literal["kubeflow", "manifest", "vertex"]
KUBERNETES_GPU = "nvidia.com/gpu"
_QUANTITY = r"^[0-9]+(\.[0-9]+)?m?$"
_BYTES = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$"
# Kubernetes names of objects, RFC 1123: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/.
_NAME = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"


class Resources(Config):
    """What one component's container asks for, and may not exceed.

    Attributes:
      cpu: Cores, as `4` or `500m`.
      memory: As `8Gi`.
      gpu: Number of GPUs.
      gpu_type: Kubernetes' resource, as `nvidia.com/gpu`; on Vertex the accelerator's name, as `NVIDIA_TESLA_T4`.
    """

    cpu: str | None = None
    memory: str | None = None
    gpu: int = Field(default=0, ge=0)
    gpu_type: str = KUBERNETES_GPU

    @field_validator("cpu")
    @classmethod
    def _is_quantity(cls, cpu: str | None) -> str | None:
        if cpu is not None and not re.match(_QUANTITY, cpu):
            raise ValueError("cores, as 4 or 500m")
        return cpu

    @field_validator("memory")
    @classmethod
    def _is_bytes(cls, memory: str | None) -> str | None:
        if memory is not None and not re.match(_BYTES, memory):
            raise ValueError("bytes with Kubernetes' units, as 8Gi")
        return memory


class KeyReference(Config):
    """A value that a Secret or a ConfigMap holds.

    Attributes:
      name: Of the object.
      key: In it.
    """

    name: str = Field(pattern=_NAME)
    key: str = Field(min_length=1)


class Volume(Config):
    """A volume that every container sees.

    Attributes:
      claim: Name of the PersistentVolumeClaim.
      path: Where it is mounted, absolute.
    """

    claim: str = Field(pattern=_NAME)
    path: str = Field(pattern=r"^/.+")


class Toleration(Config):
    """Lets containers run on nodes with a taint.

    Attributes:
      key: Of the taint.
      value: Of the taint; any when left out.
      effect: Of the taint; all when left out.
    """

    key: str = Field(min_length=1)
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class CompileOptions(Config):
    """How a pipeline runs on Kubeflow or Vertex.

    Attributes:
      image: Container image of every component.
      images: Other images, by component id.
      resources: By component id.
      env: Environment variables of every container.
      secret_env: Environment variables from Secrets.
      config_env: Environment variables from ConfigMaps.
      volumes: Volumes of every container.
      node_selector: Labels that nodes must have.
      tolerations: Taints that are tolerated.
      image_pull_secrets: Secrets to pull images with.
      labels: Labels of every pod.
      retries: How often a failed task is tried again.
      timeout_s: Seconds after which a task is ended.
      no_cache: Component ids that always run, beside ExampleGens, Importers and Pushers.
      parameters: Default values of the pipeline's runtime parameters, by name.
      format: `kubeflow` is the file that Kubeflow loads; `manifest` Kubernetes resources of it; `vertex` a PipelineJob.
      namespace: Of the resources of `manifest`.
      version: Name of the PipelineVersion in `manifest`.
    """

    image: str = Field(min_length=1)
    images: Mapping[str, str] = {}
    resources: Mapping[str, Resources] = {}
    env: Mapping[str, str] = {}
    secret_env: Mapping[str, KeyReference] = {}
    config_env: Mapping[str, KeyReference] = {}
    volumes: tuple[Volume, ...] = ()
    node_selector: Mapping[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    image_pull_secrets: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}
    retries: int = Field(default=0, ge=0, le=100)
    timeout_s: int | None = Field(default=None, ge=1)
    no_cache: tuple[str, ...] = ()
    parameters: Mapping[str, str] = {}
    format: Format = "kubeflow"
    namespace: str | None = Field(default=None, pattern=_NAME)
    version: str | None = Field(default=None, pattern=_NAME)

    @field_validator("image")
    @classmethod
    def _one_word(cls, image: str) -> str:
        if image != image.strip() or " " in image:
            raise ValueError("the name of an image, as registry.example/slimline:0.1.0, without spaces")
        return image

    @model_validator(mode="after")
    def _check(self) -> "CompileOptions":
        doubled = set(self.env) & (set(self.secret_env) | set(self.config_env)) | set(self.secret_env) & set(
            self.config_env
        )
        if doubled:
            raise ValueError(f"each environment variable once, not {', '.join(sorted(doubled))} twice")
        if self.format == "vertex" and self.kubernetes_only:
            raise ValueError(
                f"no {', '.join(self.kubernetes_only)} for Vertex, which has no Kubernetes options: give secrets "
                "through Secret Manager, and volumes as gs:// addresses"
            )
        unnamed = [name for name, part in self.resources.items() if part.gpu and part.gpu_type == KUBERNETES_GPU]
        if self.format == "vertex" and unnamed:
            raise ValueError(f"Vertex' own name of the GPU for {', '.join(unnamed)}, as gpu_type=NVIDIA_TESLA_T4")
        if self.format != "manifest" and (self.namespace or self.version):
            raise ValueError("namespace and version with format='manifest' only")
        return self

    @property
    def kubernetes_only(self) -> tuple[str, ...]:
        """Names of the given options that Kubernetes alone has."""
        named = {
            "secret_env": self.secret_env,
            "config_env": self.config_env,
            "volumes": self.volumes,
            "node_selector": self.node_selector,
            "tolerations": self.tolerations,
            "image_pull_secrets": self.image_pull_secrets,
            "labels": self.labels,
            "timeout_s": self.timeout_s,
        }
        return tuple(name for name, value in named.items() if value)

    @property
    def has_mutable_tag(self) -> bool:
        """Whether the image is named by a tag that may come to mean another image."""
        images = [self.image, *self.images.values()]
        return any("@sha256:" not in image for image in images)
