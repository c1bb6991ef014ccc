from jecp_mcp.client.agent import JecpClient as JecpClient
from jecp_mcp.client.agent import Retry as Retry
from jecp_mcp.client.errors import ActionNotFoundError as ActionNotFoundError
from jecp_mcp.client.errors import AuthError as AuthError
from jecp_mcp.client.errors import CallInDoubtError as CallInDoubtError
from jecp_mcp.client.errors import CapabilityDeprecatedError as CapabilityDeprecatedError
from jecp_mcp.client.errors import CapabilityNotFoundError as CapabilityNotFoundError
from jecp_mcp.client.errors import DuplicateRequestError as DuplicateRequestError
from jecp_mcp.client.errors import HubUnreachableError as HubUnreachableError
from jecp_mcp.client.errors import InputSchemaViolationError as InputSchemaViolationError
from jecp_mcp.client.errors import InsufficientBalanceError as InsufficientBalanceError
from jecp_mcp.client.errors import InsufficientBudgetError as InsufficientBudgetError
from jecp_mcp.client.errors import InsufficientTrustError as InsufficientTrustError
from jecp_mcp.client.errors import JecpError as JecpError
from jecp_mcp.client.errors import MandateExpiredError as MandateExpiredError
from jecp_mcp.client.errors import ProviderError as ProviderError
from jecp_mcp.client.errors import RateLimitError as RateLimitError
from jecp_mcp.client.errors import RotationCapError as RotationCapError
from jecp_mcp.client.errors import UnsupportedMediaTypeError as UnsupportedMediaTypeError
from jecp_mcp.client.errors import UrlBlockedError as UrlBlockedError
from jecp_mcp.client.errors import WebhookVerificationError as WebhookVerificationError
from jecp_mcp.client.results import InvokeResult as InvokeResult
from jecp_mcp.client.streams import JecpStream as JecpStream
from jecp_mcp.client.webhooks import verify_webhook as verify_webhook
from jecp_mcp.wire.jecp.subscriptions import Subscription as Subscription
from jecp_mcp.wire.jecp.webhooks import WebhookEvent as WebhookEvent

__version__: str
